namespace LrtMesh.ServiceDefaults.Telemetry;

/// <summary>How a role writes its log.</summary>
public enum LogFormat
{
    /// <summary>Lines for people.</summary>
    Console,

    /// <summary>One JSON object a line, with the ids of the trace that it belongs to.</summary>
    Json,
}
