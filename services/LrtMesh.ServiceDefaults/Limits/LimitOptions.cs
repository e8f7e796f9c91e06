namespace LrtMesh.ServiceDefaults.Limits;

/// <summary>How much a role lets clients have of it.</summary>
public sealed record LimitOptions
{
    /// <summary>Bytes of a message that is received, at most; default is 4 MiB, what gRPC's own libraries take.</summary>
    public int MessageBytes { get; init; } = 4 << 20;

    /// <summary>How long a call may go on; 0: for ever. Default is a day.</summary>
    public TimeSpan CallLife { get; init; } = TimeSpan.FromDays(1);

    /// <summary>How long a call may wait for its client to send, or to take what is sent, while nothing else happens; 0: for ever.
    /// Default is an hour: a job reads several models in step, and where one is slow the streams of the others wait for it.</summary>
    public TimeSpan Idle { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Calls at once of a connection; more wait at the client, or open another. Default is 100.</summary>
    public int Streams { get; init; } = 100;

    /// <summary>Connections at once; more are closed. Default is 1000.</summary>
    public int Connections { get; init; } = 1000;

    /// <summary>
    /// How long a connection takes new calls, give or take a tenth; then its client is asked to open another, which may be to another replica, and what runs ends in its own
    /// time. 0: for ever. Default is half an hour.
    /// </summary>
    public TimeSpan ConnectionAge { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>After how long a silent connection is asked for a sign of life, which must come within 20 s; 0: never. Default is a minute.</summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Calls of a tenant a second; 0, the default: any number.</summary>
    public double TenantRequestsPerSecond { get; init; }

    /// <summary>Tokens of a tenant, read and generated, a minute; 0, the default: any number.</summary>
    public double TenantTokensPerMinute { get; init; }

    /// <summary>Bytes of a tenant's messages, in and out, a minute; 0, the default: any number.</summary>
    public double TenantBytesPerMinute { get; init; }

    /// <summary>
    /// Reads <c>max-message-bytes</c>, <c>max-call-seconds</c>, <c>max-idle-seconds</c>, <c>max-streams</c>, <c>max-connections</c>,
    /// <c>connection-age-seconds</c>, <c>keepalive-seconds</c>, <c>tenant-requests-per-second</c>, <c>tenant-tokens-per-minute</c> and <c>tenant-bytes-per-minute</c>.
    /// </summary>
    public static LimitOptions From(RoleSettings settings)
    {
        var defaults = new LimitOptions();
        var limits = new LimitOptions
        {
            MessageBytes = settings.Number("max-message-bytes", defaults.MessageBytes, least: 64 << 10),
            CallLife = settings.Seconds("max-call-seconds", defaults.CallLife),
            Idle = settings.Seconds("max-idle-seconds", defaults.Idle),
            Streams = settings.Number("max-streams", defaults.Streams, least: 1),
            Connections = settings.Number("max-connections", defaults.Connections, least: 1),
            ConnectionAge = settings.Seconds("connection-age-seconds", defaults.ConnectionAge),
            KeepAlive = settings.Seconds("keepalive-seconds", defaults.KeepAlive),
            TenantRequestsPerSecond = settings.Number("tenant-requests-per-second", 0, least: 0),
            TenantTokensPerMinute = settings.Number("tenant-tokens-per-minute", 0, least: 0),
            TenantBytesPerMinute = settings.Number("tenant-bytes-per-minute", 0, least: 0),
        };
        if (limits.KeepAlive > TimeSpan.Zero && limits.KeepAlive < TimeSpan.FromSeconds(1))
        {
            settings.Wrong("keepalive-seconds", "must be 0 (never), or at least 1");
        }

        return limits;
    }
}
