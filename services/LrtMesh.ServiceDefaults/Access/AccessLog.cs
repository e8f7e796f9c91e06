using Microsoft.Extensions.Logging;

namespace LrtMesh.ServiceDefaults.Access;

internal static partial class AccessLog
{
    [LoggerMessage(Level = LogLevel.Information, Message = "{Files} changed and were read again")]
    public static partial void Reloaded(ILogger logger, string files);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Files} changed and cannot be used, WHAT HELD BEFORE HOLDS ON: {Why}")]
    public static partial void Kept(ILogger logger, string files, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The certificate {Subject} in {File} expires at {Expires}")]
    public static partial void Expires(ILogger logger, string subject, string file, string expires);

    [LoggerMessage(Level = LogLevel.Error, Message = "THE CERTIFICATE {Subject} in {File} HAS EXPIRED at {Expires}: clients refuse it")]
    public static partial void Expired(ILogger logger, string subject, string file, string expires);

    [LoggerMessage(Level = LogLevel.Warning, Message = "INSECURE: {Endpoint} can be reached from other machines and has {Without}. Whoever reaches it may do everything that this role can (--insecure was said)")]
    public static partial void Insecure(ILogger logger, string endpoint, string without);
}
