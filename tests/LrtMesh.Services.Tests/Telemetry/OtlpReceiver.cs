using System.Collections.Concurrent;
using System.Text;
using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace LrtMesh.Services.Tests.Telemetry;

/// <summary>A span as it came.</summary>
internal sealed record ReceivedSpan(string Service, string TraceId, string SpanId, string Parent, string Name);

/// <summary>A collector that keeps spans: OTLP over HTTP with protobuf, read by the field numbers of opentelemetry-proto.</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentQueue<ReceivedSpan> _spans = new();

    private OtlpReceiver(WebApplication app) => _app = app;

    /// <summary>Where to send.</summary>
    public string Endpoint => _app.Urls.First();

    /// <summary>Signals that have come: traces, metrics, logs.</summary>
    public ConcurrentDictionary<string, int> Signals { get; } = new();

    /// <summary>All spans that have come.</summary>
    public IReadOnlyCollection<ReceivedSpan> Spans => _spans;

    public static async Task<OtlpReceiver> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var receiver = new OtlpReceiver(builder.Build());
        receiver._app.MapPost("/v1/{signal}", receiver.TakeAsync);
        await receiver._app.StartAsync();
        return receiver;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task TakeAsync(HttpContext context, string signal)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        if (signal == "traces")
        {
            // ExportTraceServiceRequest.resource_spans = 1; of each resource = 1, scope_spans = 2; of those spans = 2.
            foreach (var resourceSpans in Messages(body.ToArray(), 1))
            {
                var service = Messages(resourceSpans, 1).SelectMany(resource => Messages(resource, 1)).Where(pair => Text(pair, 1) == "service.name")
                    .Select(pair => Text(Messages(pair, 2).Single(), 1)).Single();
                foreach (var span in Messages(resourceSpans, 2).SelectMany(scope => Messages(scope, 2)))
                {
                    _spans.Enqueue(new ReceivedSpan(service, Id(span, 1), Id(span, 2), Id(span, 4), Text(span, 5)));
                }
            }
        }

        Signals.AddOrUpdate(signal, 1, (_, count) => count + 1);
        context.Response.ContentType = "application/x-protobuf";
    }

    private static string Text(byte[] message, int field) => string.Concat(Messages(message, field).Select(Encoding.UTF8.GetString));

    private static string Id(byte[] message, int field) => string.Concat(Messages(message, field).Select(Convert.ToHexStringLower));

    /// <summary>The values of a field that are messages, texts or bytes.</summary>
    private static IEnumerable<byte[]> Messages(byte[] message, int field)
    {
        using var input = new CodedInputStream(message);
        while (input.ReadTag() is not 0 and var tag)
        {
            if (WireFormat.GetTagFieldNumber(tag) == field && WireFormat.GetTagWireType(tag) == WireFormat.WireType.LengthDelimited)
            {
                yield return input.ReadBytes().ToByteArray();
            }
            else
            {
                input.SkipLastField();
            }
        }
    }
}
