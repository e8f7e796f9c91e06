using LrtMesh.Core.Tensors;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>The role that fits and applies maps, and keeps vectors.</summary>
public static class MappingRole
{
    /// <summary>Makes the role; it serves once it is started.</summary>
    public static RoleHost Build(MappingOptions options)
    {
        var builder = RoleHost.CreateBuilder("mapping", options);
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton<ModelEndpoints>();
        builder.Services.AddSingleton(new CallMemory(options.MomentMemory));
        builder.Services.AddSingleton<PushedRows>();
        builder.Services.AddSingleton<FitThread>();
        builder.Services.AddSingleton<MapFitter>();
        builder.Services.AddSingleton<MapJobs>();
        builder.Services.AddHostedService(provider => provider.GetRequiredService<MapJobs>());
        builder.Services.AddSingleton(new StartStep((provider, _) =>
        {
            NativeTorch.EnsureLoaded();
            provider.GetRequiredService<MapJobs>().Begin();
            return Task.CompletedTask;
        }));
        var app = builder.Build();
        app.MapGrpcService<MappingServiceImpl>();
        app.MapGrpcService<VectorServiceImpl>();
        return RoleHost.Create(app, "mapping", MappingService.Descriptor.FullName, VectorService.Descriptor.FullName);
    }
}
