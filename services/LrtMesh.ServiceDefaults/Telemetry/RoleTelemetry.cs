using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry.Metrics;

namespace LrtMesh.ServiceDefaults.Telemetry;

/// <summary>What a role tells of itself to those who run it.</summary>
internal static class RoleTelemetry
{
    /// <summary>Collects metrics, if the role has a port where they can be read.</summary>
    public static void AddTelemetry(this IServiceCollection services, RoleOptions options)
    {
        if (options.OpsPort is not null)
        {
            services.AddOpenTelemetry().WithMetrics(metrics => metrics
                .AddMeter("Microsoft.AspNetCore.Server.Kestrel", "Microsoft.AspNetCore.Hosting")
                .AddRuntimeInstrumentation()
                .AddPrometheusExporter());
        }
    }
}
