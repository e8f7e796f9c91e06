using Microsoft.Extensions.DependencyInjection;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>What a role's container has of access.</summary>
internal static class AccessServices
{
    /// <summary>Adds who may call a role, and how it calls others.</summary>
    public static void AddAccess(this IServiceCollection services)
    {
        services.AddSingleton<AccessFiles>();
        services.AddHostedService(provider => provider.GetRequiredService<AccessFiles>());
        services.AddSingleton<TokenCheck>();
        services.AddSingleton<TokenGate>();
        services.AddSingleton<Audit>();
        services.AddSingleton(provider => new PeerCredentials(provider.GetRequiredService<AccessFiles>(), provider.GetRequiredService<RoleOptions>()));
    }
}
