using LrtMesh.V1;

namespace LrtMesh.Extraction;

internal static partial class ExtractionLog
{
    [LoggerMessage(Level = LogLevel.Information, Message = "Loaded {Model} ({Parameters} parameters, {Dtype}: {Reason}; {Device}: {DeviceReason}) from {Folder}")]
    public static partial void Loaded(ILogger logger, string model, ulong parameters, WeightDtype dtype, string reason, string device, string deviceReason, string folder);

    [LoggerMessage(Level = LogLevel.Information, Message = "Unloaded {Model}; {Calls} calls were still using it")]
    public static partial void Unloaded(ILogger logger, string model, int calls);

    [LoggerMessage(Level = LogLevel.Information, Message = "Learnt {Vector} at layer {Layer} of {Model} from {Pairs} pairs, held-out AUC {Auc}")]
    public static partial void Learnt(ILogger logger, string vector, uint layer, string model, int pairs, double auc);
}
