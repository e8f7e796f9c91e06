using System.Reflection;
using LrtMesh.Core.Telemetry;
using LrtMesh.ServiceDefaults.Ops;
using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace LrtMesh.ServiceDefaults.Telemetry;

/// <summary>What a role tells of itself to those who run it: metrics at its ops port, and all signals to a collector if there is one.</summary>
internal static class RoleTelemetry
{
    /// <summary>Collects what somebody will read.</summary>
    /// <param name="services">The role's.</param>
    /// <param name="role">Its name.</param>
    /// <param name="options">What it is told.</param>
    public static void AddTelemetry(this IServiceCollection services, string role, RoleOptions options)
    {
        if (options.OpsPort is null && !options.Otlp)
        {
            return;
        }

        // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come last, and win.
        var telemetry = services.AddOpenTelemetry().ConfigureResource(resource => resource
            .AddService($"lrtmesh-{role}", "lrtmesh", Assembly.GetExecutingAssembly().GetName().Version!.ToString(3))
            .AddEnvironmentVariableDetector());
        telemetry.WithMetrics(metrics =>
        {
            metrics.AddMeter("LrtMesh.*", "Microsoft.AspNetCore.Server.Kestrel").AddRuntimeInstrumentation();
            if (options.OpsPort is not null)
            {
                metrics.AddPrometheusExporter();
            }
        });
        if (options.Otlp)
        {
            telemetry.WithTracing(traces => traces
                .AddSource(Spans.SourceName)
                .AddAspNetCoreInstrumentation(calls => calls.Filter = context => !OpsPort.IsFrom(context))
                .AddGrpcClientInstrumentation());
            telemetry.WithLogging();
            telemetry.UseOtlpExporter();
        }
    }
}
