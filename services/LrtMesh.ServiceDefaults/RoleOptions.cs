using System.Net;
using LrtMesh.Core.Store;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.ServiceDefaults.Limits;
using LrtMesh.ServiceDefaults.Telemetry;

namespace LrtMesh.ServiceDefaults;

/// <summary>What every role is told before it starts.</summary>
public record RoleOptions
{
    /// <summary>Address to listen on; default is loopback, so that nothing outside this machine reaches it unless it is said.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>Port for gRPC; default is 0: a free one.</summary>
    public int Port { get; init; }

    /// <summary>Port for metrics and probes, over plain HTTP/1.1; 0: a free one; null, the default: none.</summary>
    public int? OpsPort { get; init; }

    /// <summary>Whether to send traces, metrics and logs to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names; default is false.</summary>
    public bool Otlp { get; init; }

    /// <summary>How to write the log; default is lines for people.</summary>
    public LogFormat LogFormat { get; init; }

    /// <summary>The store.</summary>
    public required StoreOptions Redis { get; init; }

    /// <summary>Who may call it, and over what.</summary>
    public AccessOptions Access { get; init; } = new();

    /// <summary>How much it lets clients have of it.</summary>
    public LimitOptions Limits { get; init; } = new();

    /// <summary>How it stops.</summary>
    public DrainOptions Drain { get; init; } = new();

    /// <summary>How it calls other roles.</summary>
    public PeerOptions Peers { get; init; } = new();
}
