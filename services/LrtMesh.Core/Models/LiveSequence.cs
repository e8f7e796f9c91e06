using LrtMesh.Core.Steering;

namespace LrtMesh.Core.Models;

/// <summary>A sequence in the running batch: its tokens, its place, and its rows of the steering table.</summary>
internal sealed class LiveSequence
{
    private readonly SteeringTable _table;
    private readonly int[] _layers;
    private readonly Dictionary<(int Layer, ulong Active), int> _rows = [];
    private readonly int[] _steered;
    private readonly double[] _relativeChange;
    private readonly List<int> _generated = [];
    private readonly TimeSpan _queued;
    private TimeSpan _firstToken;

    public LiveSequence(Generation generation, SteeringTable table)
    {
        Generation = generation;
        Sampler = new Sampler(generation.Request.Sampling);
        _table = table;
        _layers = [.. Steerings.Select(s => s.Layer).Distinct()];
        _steered = new int[Steerings.Count];
        _relativeChange = new double[Steerings.Count];
        _queued = generation.SinceArrival;
    }

    public Generation Generation { get; }

    public Sampler Sampler { get; }

    public IReadOnlyList<int> Prompt => Generation.Request.Prompt;

    /// <summary>The layers that its plan steers.</summary>
    public IReadOnlyList<int> SteeredLayers => _layers;

    /// <summary>The positions that it may come to hold in the cache.</summary>
    public int Longest => Prompt.Count + Generation.Request.MaxTokens;

    /// <summary>The prompt and what was generated after it.</summary>
    public IEnumerable<int> Tokens => Prompt.Concat(_generated);

    /// <summary>Tokens whose keys and values are in the cache.</summary>
    public int Cached { get; set; }

    /// <summary>The token to read next.</summary>
    public int Last => _generated[^1];

    public int Generated => _generated.Count;

    private IReadOnlyList<PlannedSteering> Steerings => Generation.Request.Plan.Steerings;

    /// <summary>Takes the chosen token in; true if the sequence ended with it.</summary>
    public bool Take(int token, bool isEndOfSequence)
    {
        if (Generated == 0)
        {
            _firstToken = Generation.SinceArrival;
        }

        _generated.Add(token);
        var ends = isEndOfSequence && !Generation.Request.IgnoreEndOfSequence;
        if (!ends)
        {
            Generation.Emit(token);
        }

        if (!ends && Generated < Generation.Request.MaxTokens)
        {
            return false;
        }

        Finish(ends);
        return true;
    }

    /// <summary>Tells how it ended.</summary>
    public void Finish(bool reachedEndOfSequence)
    {
        var applied = Steerings.Select((s, i) => new AppliedSteering(s, _steered[i], _steered[i] == 0 ? 0 : _relativeChange[i] / _steered[i]));
        Generation.Finish(new GenerationOutcome(reachedEndOfSequence, Generated, [.. applied], _queued, _firstToken));
    }

    /// <summary>The steering table's row for a token at an absolute position; 0 where nothing steers it.</summary>
    public int RowAt(int layer, int position)
    {
        var active = 0UL;
        for (var i = 0; i < Steerings.Count; i++)
        {
            if (Applies(i, layer, position))
            {
                active |= 1UL << i;
            }
        }

        if (active == 0)
        {
            return 0;
        }

        if (!_rows.TryGetValue((layer, active), out var row))
        {
            _rows[(layer, active)] = row = _table.Acquire(layer, SumOf(active));
        }

        return row;
    }

    /// <summary>Counts a token that was steered.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="position">The token's absolute position.</param>
    /// <param name="norm">Length of its hidden state before the change.</param>
    public void Count(int layer, int position, float norm)
    {
        for (var i = 0; i < Steerings.Count; i++)
        {
            if (Applies(i, layer, position))
            {
                _steered[i]++;
                _relativeChange[i] += Steerings[i].DeltaNorm / Math.Max(norm, float.Epsilon);
            }
        }
    }

    /// <summary>Gives its rows back.</summary>
    public void Leave()
    {
        foreach (var ((layer, _), row) in _rows)
        {
            _table.Release(layer, row);
        }

        _rows.Clear();
    }

    private bool Applies(int steering, int layer, int position) =>
        Steerings[steering].Layer == layer && Steerings[steering].AppliesAt(position, Prompt.Count);

    private float[] SumOf(ulong active)
    {
        var sum = new float[Steerings[0].Delta.Length];
        for (var i = 0; i < Steerings.Count; i++)
        {
            if ((active & (1UL << i)) != 0)
            {
                System.Numerics.Tensors.TensorPrimitives.Add(sum, Steerings[i].Delta, sum);
            }
        }

        return sum;
    }
}
