using LrtMesh.Core.Models;

namespace LrtMesh.Extraction;

/// <summary>A model that a call uses: until it is given back, unloading waits for it, within the drain time.</summary>
public sealed class LentModel : IDisposable
{
    private readonly HeldModel _held;
    private int _returned;

    internal LentModel(HeldModel held) => _held = held;

    /// <summary>The model.</summary>
    public LoadedModel Model => _held.Model;

    /// <summary>Gives it back.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _returned, 1) == 0)
        {
            _held.Return();
        }
    }
}
