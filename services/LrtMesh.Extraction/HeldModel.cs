using LrtMesh.Core.Models;

namespace LrtMesh.Extraction;

/// <summary>A model that the registry holds, and how many calls use it. Safe for concurrent use.</summary>
internal sealed class HeldModel(LoadedModel model)
{
    private readonly TaskCompletionSource _unused = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _holders = 1; // the registry, and calls

    /// <summary>The model.</summary>
    public LoadedModel Model => model;

    /// <summary>Ends when the registry has let it go and no call uses it any more.</summary>
    public Task Unused => _unused.Task;

    /// <summary>Calls that use it, once the registry has let it go.</summary>
    public int Calls => Volatile.Read(ref _holders);

    /// <summary>Lends it; null: the registry has let it go, and no call uses it any more.</summary>
    public LentModel? Lend()
    {
        for (var holders = Volatile.Read(ref _holders); holders > 0;)
        {
            var before = Interlocked.CompareExchange(ref _holders, holders + 1, holders);
            if (before == holders)
            {
                return new LentModel(this);
            }

            holders = before;
        }

        return null;
    }

    /// <summary>One that held it lets it go.</summary>
    public void Return()
    {
        if (Interlocked.Decrement(ref _holders) == 0)
        {
            _unused.SetResult();
        }
    }
}
