using LrtMesh.Core.Steering;
using LrtMesh.V1;

namespace LrtMesh.Core.Models;

/// <summary>A sequence in the running batch: its tokens, its place, and its rows of the steering table.</summary>
internal sealed class LiveSequence
{
    private readonly SteeringTable _table;
    private readonly int[] _layers;
    private readonly Dictionary<(int Layer, ulong Active), (int Row, TokenChange Change)> _rows = [];
    private readonly int[] _steered;
    private readonly double[] _relativeChange;
    private readonly float[] _lengths; // of what each steering adds
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
        _lengths = [.. Steerings.Select(s => System.Numerics.Tensors.TensorPrimitives.Norm(s.Direction))];
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
    public int RowAt(int layer, int position) => Active(layer, position) is var active && active != 0 ? Change(layer, active).Row : 0;

    /// <summary>Counts a token that was steered.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="position">The token's absolute position.</param>
    /// <param name="norm">Length of its hidden state before the change.</param>
    /// <param name="projections">Its projections on the directions that were taken out, in their order.</param>
    public void Count(int layer, int position, float norm, float[] projections)
    {
        var active = Active(layer, position);
        var change = Change(layer, active).Change;
        var ablations = 0;
        for (var i = 0; i < Steerings.Count; i++)
        {
            if ((active & (1UL << i)) != 0)
            {
                _steered[i]++;
                var length = Steerings[i].Operator == SteeringOperator.Ablate
                    ? change.RemovedLength(ablations, projections[ablations++])
                    : _lengths[i];
                _relativeChange[i] += length / Math.Max(norm, float.Epsilon);
            }
        }
    }

    /// <summary>Gives its rows back.</summary>
    public void Leave()
    {
        foreach (var ((layer, _), (row, _)) in _rows)
        {
            _table.Release(layer, row);
        }

        _rows.Clear();
    }

    /// <summary>One bit for each steering that applies to a token.</summary>
    private ulong Active(int layer, int position)
    {
        var active = 0UL;
        for (var i = 0; i < Steerings.Count; i++)
        {
            if (Steerings[i].Layer == layer && Steerings[i].AppliesAt(position, Prompt.Count))
            {
                active |= 1UL << i;
            }
        }

        return active;
    }

    private (int Row, TokenChange Change) Change(int layer, ulong active)
    {
        if (!_rows.TryGetValue((layer, active), out var entry))
        {
            var change = new TokenChange([.. Steerings.Where((_, i) => (active & (1UL << i)) != 0)]);
            _rows[(layer, active)] = entry = (_table.Acquire(layer, change), change);
        }

        return entry;
    }
}
