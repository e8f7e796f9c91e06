using Google.Rpc;
using Grpc.Core;
using Status = Google.Rpc.Status;

namespace LrtMesh.Cli;

/// <summary>A failed call as lines for a person: status and message, each wrong field, and what to do next.</summary>
internal static class GrpcErrors
{
    /// <summary>The lines, the first one saying what happened.</summary>
    public static IReadOnlyList<string> Describe(RpcException error)
    {
        Status? status = error.GetRpcStatus();
        var violations = status?.GetDetail<BadRequest>()?.FieldViolations ?? [];
        var retry = status?.GetDetail<RetryInfo>()?.RetryDelay?.ToTimeSpan();
        var lines = new List<string> { $"{NameOf(error.StatusCode)}: {error.Status.Detail}" };
        // A message that is the list of its violations is not said twice.
        lines.AddRange(violations.Select(violation => $"{violation.Field}: {violation.Description}").Where(line => !error.Status.Detail.Contains(line, StringComparison.Ordinal)).Select(line => $"  {line}"));
        if (HintFor(error.StatusCode, retry) is { } hint)
        {
            lines.Add(hint);
        }

        return lines;
    }

    private static string? HintFor(StatusCode code, TimeSpan? retry) => code switch
    {
        StatusCode.InvalidArgument or StatusCode.OutOfRange => "`lrtmesh COMMAND --help` says what each option takes; `lrtmesh models` shows layers, widths and contexts.",
        StatusCode.NotFound => "`lrtmesh models` lists the models. Vectors are made by `lrtmesh learn` and `lrtmesh transfer`, maps by `lrtmesh train-map`; `lrtmesh versions` lists those of one name.",
        StatusCode.ResourceExhausted => retry is { } delay ? $"The mesh is busy: try again in {delay.TotalSeconds:0.#} s." : "The mesh is busy or a limit is reached: try again later, or with less.",
        StatusCode.Unavailable => "Is the mesh running, and its Redis? `lrtmesh up` starts one; without --mesh a command starts its own.",
        StatusCode.DeadlineExceeded => "The mesh took too long: try with less text, or when it is less busy.",
        StatusCode.Unauthenticated => "Give a token with --token-file, or in the variable LRTMESH_TOKEN.",
        StatusCode.PermissionDenied => "Whoever gave you the token can give you one with that scope.",
        StatusCode.Unimplemented => "This mesh is of another version than the command line: build both from the same sources.",
        _ => null,
    };

    // As the gRPC specification writes them: INVALID_ARGUMENT.
    private static string NameOf(StatusCode code) =>
        string.Concat(code.ToString().Select((c, i) => char.IsUpper(c) && i > 0 ? $"_{c}" : $"{char.ToUpperInvariant(c)}"));
}
