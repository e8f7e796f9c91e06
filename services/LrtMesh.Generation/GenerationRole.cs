using LrtMesh.Extraction;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Generation;

/// <summary>The role that generates text; it also serves the hidden states of its models.</summary>
public static class GenerationRole
{
    /// <summary>Makes the role; it serves once it is started.</summary>
    public static RoleHost Build(ModelRoleOptions options)
    {
        var builder = RoleHost.CreateBuilder("generation", options);
        builder.Services.AddModels(options);
        builder.Services.AddSingleton<GenerationServiceImpl>(); // it keeps vectors that it has mapped
        var app = builder.Build();
        app.MapGrpcService<GenerationServiceImpl>();
        return RoleHost.Create(app, "generation", [GenerationService.Descriptor.FullName, .. app.MapModels()]);
    }
}
