using LrtMesh.Core;
using Microsoft.Extensions.Logging;

namespace LrtMesh.ServiceDefaults;

internal static partial class RoleLog
{
    [LoggerMessage(Level = LogLevel.Information, Message = "{Role} listens on {Address}; store: {Store}")]
    public static partial void Serving(ILogger logger, string role, Uri address, string store);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Method} refused, {Reason}: {Fields}")]
    public static partial void Refused(ILogger logger, string method, ErrorReason reason, string fields);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} failed, request {Request}")]
    public static partial void Failed(ILogger logger, Exception error, string method, string request);
}
