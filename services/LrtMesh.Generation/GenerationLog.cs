namespace LrtMesh.Generation;

internal static partial class GenerationLog
{
    [LoggerMessage(Level = LogLevel.Debug, Message = "Request {Request}: {Tokens} tokens of {Model} in {Milliseconds} ms, {Reason}")]
    public static partial void Finished(ILogger logger, string request, uint tokens, string model, double milliseconds, V1.FinishReason reason);
}
