using LrtMesh.Core;

namespace LrtMesh.Mapping;

internal static partial class MappingLog
{
    [LoggerMessage(Level = LogLevel.Information, Message = "Job {Job} has succeeded, from {Rows} rows, at attempt {Attempt}")]
    public static partial void Fitted(ILogger logger, string job, long rows, uint attempt);

    [LoggerMessage(Level = LogLevel.Information, Message = "Job {Job} ends here without a map: {Why}")]
    public static partial void Ended(ILogger logger, string job, string why);

    [LoggerMessage(Level = LogLevel.Information, Message = "Job {Job} has failed, {Reason}: its record says why")]
    public static partial void Refused(ILogger logger, string job, ErrorReason reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Job {Job} is taken up, attempt {Attempt}")]
    public static partial void Taken(ILogger logger, string job, uint attempt);

    [LoggerMessage(Level = LogLevel.Warning, Message = "No jobs can be taken: {Why}")]
    public static partial void NoJobs(ILogger logger, string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "Job {Job} failed")]
    public static partial void Failed(ILogger logger, Exception error, string job);

    [LoggerMessage(Level = LogLevel.Error, Message = "The work on jobs was broken off and begins again")]
    public static partial void Surprised(ILogger logger, Exception error);

    [LoggerMessage(Level = LogLevel.Error, Message = "What became of job {Job} could not be told to the store")]
    public static partial void NotRecorded(ILogger logger, Exception error, string job);
}
