using Xunit;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Tests of checkpoints that count live tensors or measure memory run alone, so that the count is theirs.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class CheckpointsRunAlone
{
    public const string Name = "checkpoints";

    /// <summary>Ends what earlier tests left to the finalizer, or the count of live tensors would fall in the middle of a test.</summary>
    public static void Settle()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }
}
