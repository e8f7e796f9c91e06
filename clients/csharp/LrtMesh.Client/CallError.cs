using Google.Rpc;
using Grpc.Core;

namespace LrtMesh.Client;

/// <summary>What a failed call says.</summary>
/// <param name="Code">Its status.</param>
/// <param name="Message">Its message.</param>
/// <param name="Reason">The server's reason, such as INVALID_ARGUMENT; empty where the failure is not the server's own.</param>
/// <param name="Fields">What is wrong with each field, by its path in the request.</param>
/// <param name="RetryAfter">Time after which another try makes sense; null where the server does not say.</param>
public sealed record CallError(StatusCode Code, string Message, string Reason, IReadOnlyDictionary<string, string> Fields, TimeSpan? RetryAfter)
{
    /// <summary>Takes an exception apart.</summary>
    public static CallError From(RpcException exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        var status = exception.GetRpcStatus();
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var violation in status?.GetDetail<BadRequest>()?.FieldViolations ?? [])
        {
            fields[violation.Field] = violation.Description;
        }

        return new CallError(
            exception.StatusCode, exception.Status.Detail, status?.GetDetail<ErrorInfo>()?.Reason ?? "", fields, status?.GetDetail<RetryInfo>()?.RetryDelay?.ToTimeSpan());
    }
}
