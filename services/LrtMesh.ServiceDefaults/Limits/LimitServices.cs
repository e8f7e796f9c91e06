using Microsoft.Extensions.DependencyInjection;

namespace LrtMesh.ServiceDefaults.Limits;

/// <summary>What a role's container has of limits.</summary>
internal static class LimitServices
{
    /// <summary>Adds what tenants have used, and how the role stops.</summary>
    public static void AddLimits(this IServiceCollection services)
    {
        services.AddSingleton<TenantLimits>();
        services.AddSingleton<Drain>();
        services.AddHostedService(provider => provider.GetRequiredService<Drain>());
    }
}
