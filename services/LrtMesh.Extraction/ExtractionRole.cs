using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Ops;
using LrtMesh.V1;

namespace LrtMesh.Extraction;

/// <summary>The role that reads hidden states and learns vectors.</summary>
public static class ExtractionRole
{
    /// <summary>Makes the role; it serves once it is started.</summary>
    public static RoleHost Build(ModelRoleOptions options)
    {
        var builder = RoleHost.CreateBuilder("extraction", options);
        builder.Services.AddModels(options);
        var app = builder.Build();
        return RoleHost.Create(app, "extraction", app.MapModels());
    }

    /// <summary>Adds the models of a role, loaded while it starts.</summary>
    public static void AddModels(this IServiceCollection services, ModelRoleOptions options)
    {
        services.AddSingleton(options);
        services.AddSingleton<ModelRegistry>();
        services.AddSingleton<VectorLearner>();
        services.AddSingleton(provider => new LivenessCheck(provider.GetRequiredService<ModelRegistry>().Fault));
        services.AddSingleton(new StartStep((provider, cancellation) =>
            provider.GetRequiredService<ModelRegistry>().LoadAsync(cancellation)));
    }

    /// <summary>Serves ModelService and ExtractionService for the models of a role.</summary>
    /// <returns>Full names of both, for health.</returns>
    public static string[] MapModels(this IEndpointRouteBuilder app)
    {
        app.MapGrpcService<ModelServiceImpl>();
        app.MapGrpcService<ExtractionServiceImpl>();
        return [ModelService.Descriptor.FullName, ExtractionService.Descriptor.FullName];
    }
}
