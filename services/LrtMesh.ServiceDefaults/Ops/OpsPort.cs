using System.Net;
using System.Net.Mime;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace LrtMesh.ServiceDefaults.Ops;

/// <summary>
/// A second port for those who run a role, not for its clients: plain HTTP/1.1, so that probes and Prometheus need neither TLS nor a
/// token. It has /metrics, /health/live and /health/ready, and nothing else; the gRPC port has none of them.
/// </summary>
internal static class OpsPort
{
    /// <summary>Opens the port, if the role has one.</summary>
    public static void Listen(KestrelServerOptions kestrel, RoleOptions options)
    {
        if (options.OpsPort is { } port)
        {
            kestrel.Listen(options.Address, port, listen =>
            {
                listen.Protocols = HttpProtocols.Http1;
                listen.Use(next => connection =>
                {
                    connection.Features.Set(new Arrived());
                    return next(connection);
                });
            });
        }
    }

    /// <summary>Whether a request has come to this port.</summary>
    public static bool IsFrom(HttpContext context) => context.Features.Get<Arrived>() is not null;

    /// <summary>Answers what arrives there, ahead of everything else in the role.</summary>
    /// <param name="app">The role's application.</param>
    /// <param name="isServing">Whether gRPC health says SERVING.</param>
    public static void Answer(WebApplication app, Func<bool> isServing) => app.MapWhen(
        IsFrom,
        ops =>
        {
            ops.UseOpenTelemetryPrometheusScrapingEndpoint("/metrics");
            ops.Run(context => context.Request.Path.Value switch
            {
                "/health/live" => SayAsync(context, app.Services.GetServices<LivenessCheck>().Select(check => check.Fault()).FirstOrDefault(fault => fault is not null), "alive"),
                "/health/ready" => SayAsync(context, isServing() ? null : "NOT_SERVING: starting, or told to stop", "SERVING"),
                _ => SayAsync(context, HttpStatusCode.NotFound, "this port has /metrics, /health/live and /health/ready"),
            });
        });

    private static Task SayAsync(HttpContext context, string? fault, string otherwise) =>
        SayAsync(context, fault is null ? HttpStatusCode.OK : HttpStatusCode.ServiceUnavailable, fault ?? otherwise);

    private static Task SayAsync(HttpContext context, HttpStatusCode status, string text)
    {
        context.Response.StatusCode = (int)status;
        context.Response.ContentType = MediaTypeNames.Text.Plain;
        return context.Response.WriteAsync(text + "\n");
    }

    /// <summary>Marks a connection that was made to this port.</summary>
    private sealed record Arrived;
}
