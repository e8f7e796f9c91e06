using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using LrtMesh.Core;
using RpcStatus = Google.Rpc.Status;

namespace LrtMesh.ServiceDefaults;

/// <summary>What a client is told of an error: google.rpc.Status with ErrorInfo, and a typed detail where there is more to say.</summary>
internal static class ErrorStatus
{
    private const string Domain = "lrtmesh";

    /// <summary>The status of an error.</summary>
    public static RpcStatus Of(LrtMeshException error)
    {
        var (code, reason) = error.Reason switch
        {
            ErrorReason.InvalidArgument => (Code.InvalidArgument, "INVALID_ARGUMENT"),
            ErrorReason.OutOfRange => (Code.OutOfRange, "OUT_OF_RANGE"),
            ErrorReason.NotFound => (Code.NotFound, "NOT_FOUND"),
            ErrorReason.FailedPrecondition => (Code.FailedPrecondition, "FAILED_PRECONDITION"),
            ErrorReason.ResourceExhausted => (Code.ResourceExhausted, "RESOURCE_EXHAUSTED"),
            ErrorReason.Unavailable => (Code.Unavailable, "UNAVAILABLE"),
            ErrorReason.DataLoss => (Code.DataLoss, "DATA_LOSS"),
            ErrorReason.DeadlineExceeded => (Code.DeadlineExceeded, "DEADLINE_EXCEEDED"),
            ErrorReason.Unauthenticated => (Code.Unauthenticated, "UNAUTHENTICATED"),
            ErrorReason.PermissionDenied => (Code.PermissionDenied, "PERMISSION_DENIED"),
            _ => throw new InvalidOperationException($"{error.Reason} has no status"),
        };
        var status = new RpcStatus { Code = (int)code, Message = error.Message };
        status.Details.Add(Any.Pack(new ErrorInfo { Domain = Domain, Reason = reason }));
        if (error.Violations.Count > 0)
        {
            status.Details.Add(Any.Pack(new BadRequest
            {
                FieldViolations = { error.Violations.Select(v => new BadRequest.Types.FieldViolation { Field = v.Field, Description = v.Description }) },
            }));
        }

        if (error.Reason == ErrorReason.NotFound)
        {
            status.Details.AddRange(error.Violations.Select(v => Any.Pack(new ResourceInfo { ResourceType = v.Field, Description = v.Description })));
        }

        if (error.RetryAfter is { } delay)
        {
            status.Details.Add(Any.Pack(new RetryInfo { RetryDelay = Duration.FromTimeSpan(delay) }));
        }

        return status;
    }
}
