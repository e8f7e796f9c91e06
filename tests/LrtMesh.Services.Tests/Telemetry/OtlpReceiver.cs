using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Google.Protobuf;
using Grpc.Core;
using LrtMesh.ServiceDefaults.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace LrtMesh.Services.Tests.Telemetry;

/// <summary>A span as it came.</summary>
internal sealed record ReceivedSpan(string Service, string TraceId, string SpanId, string Parent, string Name);

/// <summary>That a role sent some of a signal (traces, metrics, logs), and how.</summary>
internal sealed record ReceivedSignal(string Service, string Signal, string How);

/// <summary>A collector that keeps what it is sent: OTLP over HTTP with protobuf and over gRPC, read by the field numbers of opentelemetry-proto.</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    public const string Http = "HTTP";
    public const string Grpc = "gRPC";
    public const string GrpcOverTls = "gRPC over TLS";

    private static readonly string[] Ways = [Http, Grpc, GrpcOverTls]; // in the order of their ports

    private readonly WebApplication _app;
    private readonly ConcurrentQueue<ReceivedSpan> _spans = new();
    private readonly ConcurrentDictionary<ReceivedSignal, int> _signals = new();
    private readonly ConcurrentDictionary<(string Service, string Metric), int> _metrics = new();
    private readonly ConcurrentDictionary<(string Service, string TraceId), int> _logs = new();

    private OtlpReceiver(WebApplicationBuilder builder)
    {
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(new Collector(this));
        _app = builder.Build();
    }

    /// <summary>What has come, of each role and signal.</summary>
    public ICollection<ReceivedSignal> Signals => _signals.Keys;

    /// <summary>All spans that have come.</summary>
    public IReadOnlyCollection<ReceivedSpan> Spans => _spans;

    /// <summary>Names of the metrics that have come, by OpenTelemetry's names.</summary>
    public ICollection<(string Service, string Metric)> Metrics => _metrics.Keys;

    /// <summary>The traces that log records belong to.</summary>
    public ICollection<(string Service, string TraceId)> Logs => _logs.Keys;

    /// <summary>Where to send.</summary>
    public string EndpointOf(string how) => _app.Urls.ElementAt(Array.IndexOf(Ways, how));

    public static async Task<OtlpReceiver> StartAsync(CertificateFiles certificate)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(server =>
        {
            server.Listen(IPAddress.Loopback, 0, port => port.Protocols = HttpProtocols.Http1);
            server.Listen(IPAddress.Loopback, 0, port => port.Protocols = HttpProtocols.Http2);
            server.Listen(IPAddress.Loopback, 0, port =>
            {
                port.Protocols = HttpProtocols.Http2;
                port.UseHttps(X509Certificate2.CreateFromPemFile(certificate.Certificate, certificate.Key));
            });
        });
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.Logging.ClearProviders();
        var receiver = new OtlpReceiver(builder);
        receiver._app.MapPost("/v1/{signal}", receiver.TakeAsync);
        receiver._app.MapGrpcService<Collector>();
        await receiver._app.StartAsync();
        return receiver;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task TakeAsync(HttpContext context, string signal)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        Take(signal, Http, body.ToArray());
        context.Response.ContentType = "application/x-protobuf";
    }

    /// <param name="signal">traces, metrics or logs.</param>
    /// <param name="how">The way that it came.</param>
    /// <param name="request">Export{Trace,Metrics,Logs}ServiceRequest.</param>
    private void Take(string signal, string how, byte[] request)
    {
        // Of the request resource_{spans,metrics,logs} = 1; of each resource = 1, scope_{spans,metrics,logs} = 2; of those spans, metrics, log_records = 2.
        foreach (var ofResource in Messages(request, 1))
        {
            var service = Messages(ofResource, 1).SelectMany(resource => Messages(resource, 1)).Where(pair => Text(pair, 1) == "service.name")
                .Select(pair => Text(Messages(pair, 2).Single(), 1)).Single();
            foreach (var item in Messages(ofResource, 2).SelectMany(scope => Messages(scope, 2)))
            {
                switch (signal)
                {
                    case "traces":
                        _spans.Enqueue(new ReceivedSpan(service, Id(item, 1), Id(item, 2), Id(item, 4), Text(item, 5)));
                        break;
                    case "metrics":
                        _metrics[(service, Text(item, 1))] = 1;
                        break;
                    default:
                        _logs[(service, Id(item, 9))] = 1;
                        break;
                }

                _signals[new(service, signal, how)] = 1;
            }
        }
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

    /// <summary>The three services of opentelemetry.proto.collector, whose messages stay bytes.</summary>
    [BindServiceMethod(typeof(CollectorBase), nameof(Bind))]
    private abstract class CollectorBase
    {
        private static readonly Marshaller<byte[]> Bytes = Marshallers.Create<byte[]>(message => message, message => message);

        public static void Bind(ServiceBinderBase binder, CollectorBase? service)
        {
            foreach (var name in new[] { "trace.v1.TraceService", "metrics.v1.MetricsService", "logs.v1.LogsService" })
            {
                binder.AddMethod(new Method<byte[], byte[]>(MethodType.Unary, $"opentelemetry.proto.collector.{name}", nameof(Export), Bytes, Bytes), service is null ? null! : service.Export);
            }
        }

        public abstract Task<byte[]> Export(byte[] request, ServerCallContext context);
    }

    private sealed class Collector(OtlpReceiver receiver) : CollectorBase
    {
        public override Task<byte[]> Export(byte[] request, ServerCallContext context)
        {
            var signal = context.Method.Split('.')[3]; // /opentelemetry.proto.collector.SIGNAL.v1…
            receiver.Take(signal == "trace" ? "traces" : signal, context.GetHttpContext().Request.IsHttps ? GrpcOverTls : Grpc, request);
            return Task.FromResult(Array.Empty<byte>()); // an empty response: all was taken
        }
    }
}
