using Google.Protobuf;
using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using Microsoft.Extensions.Logging;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>The log of what was changed, by whom: the category LrtMesh.Audit, one line for each call that changes something, whether it did or was refused.</summary>
internal sealed partial class Audit(ILoggerFactory loggers)
{
    private readonly ILogger _logger = loggers.CreateLogger("LrtMesh.Audit");

    /// <summary>Notes a call, if it is one that changes something.</summary>
    /// <param name="rule">The rule of its RPC.</param>
    /// <param name="caller">Who called.</param>
    /// <param name="context">The call.</param>
    /// <param name="request">The first message of its request; null: none came.</param>
    /// <param name="error">Why it failed; null: it did not.</param>
    public void Note(RpcRule rule, Caller caller, ServerCallContext context, IMessage? request, Exception? error)
    {
        if (rule.Changed is not { } changed)
        {
            return;
        }

        // What is no name may be anything, and stays out of the log.
        var name = request is null ? "" : changed(request) ?? "";
        var (resource, outcome, peer) = (RecordName.IsValid(name) ? name : "(no name)", OutcomeOf(error), context.Peer);
        LogChange(_logger, context.Method, resource, caller.Subject, caller.Tenant, peer, outcome);
    }

    private static string OutcomeOf(Exception? error) => error switch
    {
        null => "OK",
        LrtMeshException known => $"{known.Reason}",
        RpcException status => $"{status.StatusCode}",
        OperationCanceledException or IOException => "Cancelled",
        _ => "Internal",
    };

    [LoggerMessage(Level = LogLevel.Information, Message = "{Rpc} of \"{Resource}\" by \"{Subject}\" of tenant \"{Tenant}\" from {Peer}: {Outcome}")]
    private static partial void LogChange(ILogger logger, string rpc, string resource, string subject, string tenant, string peer, string outcome);
}
