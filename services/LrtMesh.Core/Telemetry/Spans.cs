using System.Diagnostics;

namespace LrtMesh.Core.Telemetry;

/// <summary>The steps of a call or a job that a trace shows, beside the calls between roles.</summary>
public static class Spans
{
    /// <summary>Name of their source.</summary>
    public const string SourceName = "LrtMesh";

    /// <summary>Where they come from; null activities where nobody listens.</summary>
    public static readonly ActivitySource Source = new(SourceName);
}
