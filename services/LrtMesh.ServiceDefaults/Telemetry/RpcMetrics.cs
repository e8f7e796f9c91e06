using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using Grpc.AspNetCore.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace LrtMesh.ServiceDefaults.Telemetry;

/// <summary>
/// Calls by method and status, as OpenTelemetry's semantic conventions for RPC have them. Measured around all that answers a call, so that
/// what an interceptor refuses counts too.
/// </summary>
internal static class RpcMetrics
{
    // By number, as trailers have them.
    private static readonly string[] Statuses =
    [
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
    ];

    private static readonly Meter Meter = new("LrtMesh.Rpc");
    private static readonly UpDownCounter<long> Active = Meter.CreateUpDownCounter<long>("lrtmesh.rpc.active", "{call}", "Calls under way, streams included.");

    private static readonly Histogram<double> Duration = Meter.CreateHistogram(
        "rpc.server.call.duration", "s", "From a call's arrival to its status; of streams, their life.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 60, 600] });

    /// <summary>Measures what the rest of the pipeline makes of a call.</summary>
    public static async Task MeasureAsync(HttpContext context, RequestDelegate next)
    {
        // The contract's methods alone have such metadata, so that no client can make up a name.
        var method = new KeyValuePair<string, object?>("rpc.method", context.GetEndpoint()?.Metadata.GetMetadata<GrpcMethodMetadata>()?.Method.FullName.TrimStart('/') ?? "_OTHER");
        var began = Stopwatch.GetTimestamp();
        Active.Add(1, method);
        try
        {
            await next(context);
        }
        finally
        {
            Active.Add(-1, method);
            Duration.Record(
                Stopwatch.GetElapsedTime(began).TotalSeconds, method, new("rpc.system.name", "grpc"), new("rpc.response.status_code", StatusOf(context)));
        }
    }

    private static string StatusOf(HttpContext context)
    {
        // An answer without messages has its status among its headers.
        var written = context.Features.Get<IHttpResponseTrailersFeature>()?.Trailers["grpc-status"].ToString() is { Length: > 0 } trailer ? trailer : context.Response.Headers["grpc-status"].ToString();
        return int.TryParse(written, NumberStyles.None, CultureInfo.InvariantCulture, out var status) && status < Statuses.Length
            ? Statuses[status]
            : context.RequestAborted.IsCancellationRequested ? "CANCELLED" : "UNKNOWN";
    }
}
