namespace LrtMesh.Core;

/// <summary>Why something could not be done; one interceptor turns it into a gRPC status.</summary>
public enum ErrorReason
{
    /// <summary>The request is wrong whatever the state of the server (INVALID_ARGUMENT).</summary>
    InvalidArgument,

    /// <summary>A position, layer or length lies outside what the model has (OUT_OF_RANGE).</summary>
    OutOfRange,

    /// <summary>What the request names does not exist here (NOT_FOUND).</summary>
    NotFound,

    /// <summary>The request is right but does not fit what is stored or loaded (FAILED_PRECONDITION).</summary>
    FailedPrecondition,

    /// <summary>A queue or a limit is full; try again later (RESOURCE_EXHAUSTED).</summary>
    ResourceExhausted,

    /// <summary>Something that this needs cannot be reached; try again later (UNAVAILABLE).</summary>
    Unavailable,

    /// <summary>A record or a file is damaged (DATA_LOSS).</summary>
    DataLoss,

    /// <summary>It has taken too long (DEADLINE_EXCEEDED).</summary>
    DeadlineExceeded,

    /// <summary>Who calls is not known (UNAUTHENTICATED).</summary>
    Unauthenticated,

    /// <summary>Who calls may not do this (PERMISSION_DENIED).</summary>
    PermissionDenied,
}

/// <summary>A field of a request (its proto path) or a file, and what would be right.</summary>
public sealed record Violation(string Field, string Description);

/// <summary>
/// The one exception that LrtMesh throws on purpose. Its message is written for the caller: it names the field or the
/// file and says what would be right.
/// </summary>
public sealed class LrtMeshException : Exception
{
    /// <summary>An error that names no field.</summary>
    public LrtMeshException(ErrorReason reason, string message, Exception? inner = null)
        : base(message, inner)
    {
        Reason = reason;
        Violations = [];
    }

    /// <summary>An error with all the fields that are wrong.</summary>
    public LrtMeshException(ErrorReason reason, IReadOnlyList<Violation> violations)
        : base(string.Join("; ", violations.Select(v => $"{v.Field}: {v.Description}")))
    {
        Reason = reason;
        Violations = violations;
    }

    /// <summary>What kind of error.</summary>
    public ErrorReason Reason { get; }

    /// <summary>The fields that are wrong; may be empty.</summary>
    public IReadOnlyList<Violation> Violations { get; }

    /// <summary>When to try again, where that is known.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>A wrong field of a request.</summary>
    public static LrtMeshException Invalid(string field, string description) =>
        new(ErrorReason.InvalidArgument, [new Violation(field, description)]);

    /// <summary>Something named that is not there.</summary>
    public static LrtMeshException NotFound(string field, string description) =>
        new(ErrorReason.NotFound, [new Violation(field, description)]);

    /// <summary>Something that does not fit what is stored or loaded.</summary>
    public static LrtMeshException Mismatch(string field, string description) =>
        new(ErrorReason.FailedPrecondition, [new Violation(field, description)]);
}
