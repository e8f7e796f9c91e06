namespace LrtMesh.Core.Steering;

/// <summary>The steering of the tokens of one pass, each by its sequence's plan.</summary>
internal sealed class BatchSteering
{
    private readonly SequenceSteering[] _sequences;
    private readonly long[] _positions;
    private readonly int _length;
    private readonly Dictionary<(int Layer, int Order, int Looks), LaneRows> _rows = [];
    private readonly (SteeringLane Lane, LaneRows Rows)[] _lanes;

    /// <summary>The steering of a batch.</summary>
    /// <param name="table">The running batch's table.</param>
    /// <param name="sequences">Whose tokens they are.</param>
    /// <param name="positions">Absolute positions, [batch·length], padded on the right.</param>
    /// <param name="real">How many tokens of each sequence are not padding; padding is not steered.</param>
    public BatchSteering(SteeringTable table, IEnumerable<SequenceSteering> sequences, long[] positions, int[] real)
    {
        _sequences = [.. sequences];
        _positions = positions;
        _length = positions.Length / _sequences.Length;
        for (var i = 0; i < _sequences.Length; i++)
        {
            for (var at = i * _length; !_sequences[i].IsEmpty && at < (i * _length) + real[i]; at++)
            {
                Add(_sequences[i].At((int)positions[at]), at);
            }
        }

        _lanes = [.. _rows.OrderBy(entry => entry.Key).Select(entry => (entry.Value.Lane(entry.Key.Layer, entry.Key.Looks), entry.Value))];
        Tap = _lanes.Length == 0 ? null : new SteeringTap(table, Array.ConvertAll(_lanes, of => of.Lane));
    }

    /// <summary>What steers the pass; null: nothing does.</summary>
    public SteeringTap? Tap { get; }

    /// <summary>Lets the sequences count what the pass did to them.</summary>
    public void Count()
    {
        foreach (var (lane, rows) in _lanes)
        {
            var (norms, projections, holds) = (lane.Norms(), lane.Projections(), lane.Condition?.Holds.cpu().data<long>().ToArray());
            for (var at = 0; at < norms.Length; at++)
            {
                if (rows.Tokens[at] is { } row)
                {
                    _sequences[at / _length].Took(
                        (int)_positions[at], row, holds is null || holds[at] != 0, norms[at], Array.ConvertAll(projections, of => of[at]));
                }
            }
        }

        foreach (var sequence in _sequences)
        {
            sequence.ReleaseScheduled();
        }
    }

    private void Add(IReadOnlyList<TokenRow> rows, int at)
    {
        for (var order = 0; order < rows.Count; order++)
        {
            var looks = rows[order].Condition?.Layer ?? -1;
            // Without a condition there is one row a layer, and those with conditions come after it.
            var key = (rows[order].Layer, looks < 0 ? -1 : order, looks);
            if (!_rows.TryGetValue(key, out var lane))
            {
                _rows[key] = lane = new LaneRows(_positions.Length);
            }

            lane.Tokens[at] = rows[order];
        }
    }

    /// <summary>A lane while it is gathered.</summary>
    private sealed class LaneRows(int tokens)
    {
        public TokenRow?[] Tokens { get; } = new TokenRow?[tokens];

        public SteeringLane Lane(int layer, int looks)
        {
            var rows = Array.ConvertAll(Tokens, token => (long)(token?.Row ?? 0));
            if (looks < 0)
            {
                return new SteeringLane(layer, rows);
            }

            var conditions = Array.ConvertAll(Tokens, token => token?.Condition);
            var probes = conditions.OfType<PlannedCondition>().Select(condition => condition.Direction).Distinct().ToList();
            return new SteeringLane(layer, rows, new LaneCondition(
                looks,
                [.. probes.SelectMany(probe => probe)],
                Array.ConvertAll(conditions, condition => condition is null ? 0L : probes.IndexOf(condition.Direction)),
                Array.ConvertAll(conditions, condition => condition?.Threshold ?? 0),
                Array.ConvertAll(conditions, condition => condition is { Below: true } ? -1f : 1f)));
        }
    }
}
