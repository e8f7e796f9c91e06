namespace LrtMesh.Core.Steering;

/// <summary>The steering of the tokens of one pass, each by its sequence's plan.</summary>
internal sealed class BatchSteering
{
    private readonly SequenceSteering[] _sequences;
    private readonly long[] _positions;
    private readonly int _length;
    private readonly Dictionary<int, long[]> _rows = [];
    private readonly SteeringTap? _tap;

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
            foreach (var layer in _sequences[i].Layers)
            {
                FillRows(layer, i, real[i]);
            }
        }

        _tap = _rows.Count == 0 ? null : new SteeringTap(table, _rows);
    }

    /// <summary>What steers the pass; null: nothing does.</summary>
    public SteeringTap? Tap => _tap;

    /// <summary>Lets the sequences count what the pass did to them.</summary>
    public void Count()
    {
        foreach (var (layer, rows) in _rows)
        {
            var norms = _tap!.NormsBefore(layer);
            var projections = _tap.Projections(layer);
            for (var at = 0; at < rows.Length; at++)
            {
                if (rows[at] != 0)
                {
                    _sequences[at / _length].Count(layer, (int)_positions[at], norms[at], Array.ConvertAll(projections, of => of[at]));
                }
            }
        }
    }

    private void FillRows(int layer, int sequence, int real)
    {
        for (var at = sequence * _length; at < (sequence * _length) + real; at++)
        {
            if (_sequences[sequence].RowAt(layer, (int)_positions[at]) is var row && row != 0)
            {
                if (!_rows.TryGetValue(layer, out var rows))
                {
                    _rows[layer] = rows = new long[_positions.Length];
                }

                rows[at] = row;
            }
        }
    }
}
