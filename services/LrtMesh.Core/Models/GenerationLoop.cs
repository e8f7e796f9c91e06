using System.Collections.Concurrent;
using System.Numerics;
using LrtMesh.Core.Steering;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// Generation as steps over whatever sequences are live: sequences join and leave at any step, so that a long request does not
/// hold up a short one. Everything but <see cref="Enqueue"/> runs on the model thread.
/// </summary>
/// <remarks>
/// A step: (1) drop cancelled and stopped sequences; (2) admit waiting ones into free slots, read their prompts together and choose their
/// first tokens; (3) advance every live sequence by one token. Live sequences fill the cache's slots from 0 without gaps.
/// </remarks>
internal sealed class GenerationLoop : IDisposable
{
    private const int MaxWaiting = 1024;
    private const int MaxSlots = 128;
    private const long CacheBytes = 512L << 20;
    private const int PrefillTokens = 4096; // padded tokens read in one step
    private const int LeastCapacity = 64; // tokens of a slot: a smaller cache would only be resized sooner

    private readonly Decoder _decoder;
    private readonly KvCache _cache;
    private readonly long _maxTokens; // of the cache, over all slots
    private readonly SteeringTable _table;
    private readonly HashSet<int> _endOfSequence;
    private readonly ConcurrentQueue<Generation> _waiting = new();
    private readonly List<LiveSequence> _live = []; // index = slot
    private int _waitingCount;

    public GenerationLoop(Decoder decoder)
    {
        _decoder = decoder;
        var config = decoder.Config;
        // It takes memory when sequences come, and as they need: a whole context may be many gigabytes.
        _cache = new KvCache(config, slots: 0, capacity: 0, decoder.Weights.Head.dtype);
        _maxTokens = Math.Max(1, CacheBytes / KvCache.BytesPerToken(config, (int)decoder.Weights.Head.element_size()));
        _table = new SteeringTable(config.Width);
        _endOfSequence = [.. config.EndOfSequence];
    }

    /// <summary>Whether a step has anything to do.</summary>
    public bool HasWork => _live.Count > 0 || !_waiting.IsEmpty;

    /// <summary>Puts a request in the queue. Any thread.</summary>
    /// <exception cref="LrtMeshException">ResourceExhausted: the queue is full.</exception>
    public void Enqueue(Generation generation)
    {
        if (Interlocked.Increment(ref _waitingCount) > MaxWaiting)
        {
            Interlocked.Decrement(ref _waitingCount);
            throw new LrtMeshException(ErrorReason.ResourceExhausted, $"{MaxWaiting} requests are waiting for this model; try again later")
            {
                RetryAfter = TimeSpan.FromSeconds(1),
            };
        }

        _waiting.Enqueue(generation);
    }

    /// <summary>Advances everything that is live by one token.</summary>
    public void Step()
    {
        DropStopped();
        var admitted = Admit();
        if (admitted > 0)
        {
            ReadPrompts(_live.Count - admitted);
        }

        if (_live.Count > 0)
        {
            ReadAgainWhatOutgrewItsAngles();
            AdvanceAll();
        }
    }

    /// <summary>Ends everything that is live or waiting with an error.</summary>
    public void FailAll(Exception error)
    {
        for (var slot = _live.Count - 1; slot >= 0; slot--)
        {
            _live[slot].Generation.Fail(error);
            Remove(slot);
        }

        while (TryDequeue(out var generation))
        {
            generation.Fail(error);
        }
    }

    public void Dispose()
    {
        _cache.Dispose();
        _table.Dispose();
    }

    private bool TryDequeue(out Generation generation)
    {
        if (!_waiting.TryDequeue(out generation!))
        {
            return false;
        }

        Interlocked.Decrement(ref _waitingCount);
        return true;
    }

    private void DropStopped()
    {
        for (var slot = _live.Count - 1; slot >= 0; slot--)
        {
            if (_live[slot].Generation.Cancellation.IsCancellationRequested)
            {
                _live[slot].Generation.Fail(new OperationCanceledException(_live[slot].Generation.Cancellation));
                Remove(slot);
            }
            else if (_live[slot].Generation.IsStopping)
            {
                _live[slot].Finish(reachedEndOfSequence: false);
                Remove(slot);
            }
        }
    }

    /// <summary>Gives waiting sequences the free slots after the live ones, up to one step's worth of prompt.</summary>
    private int Admit()
    {
        var admitted = 0;
        var longest = 0;
        while (_live.Count < MaxSlots && _waiting.TryPeek(out var next) && HasRoomFor(next.Request))
        {
            longest = Math.Max(longest, next.Request.Prompt.Count);
            if (admitted > 0 && longest * (admitted + 1) > PrefillTokens)
            {
                break;
            }

            TryDequeue(out next);
            if (next.Cancellation.IsCancellationRequested)
            {
                next.Fail(new OperationCanceledException(next.Cancellation));
                continue;
            }

            _live.Add(new LiveSequence(next, _table));
            admitted++;
        }

        return admitted;
    }

    /// <summary>Whether one more sequence fits; makes the cache large enough for it. A sequence alone always fits.</summary>
    private bool HasRoomFor(GenerationRequest request)
    {
        var slots = _live.Count + 1;
        var capacity = _live.Select(s => s.Longest).Append(request.Prompt.Count + request.MaxTokens).Max();
        if (slots <= _cache.Slots && capacity <= _cache.Capacity)
        {
            return true;
        }

        if (slots > 1 && (long)slots * capacity > _maxTokens)
        {
            return false;
        }

        // Twice the need, so that it is seldom resized; exactly the need where twice does not fit.
        var grownSlots = Math.Max(_cache.Slots, (int)BitOperations.RoundUpToPowerOf2((uint)slots));
        var grownCapacity = Math.Max(_cache.Capacity, Math.Max(LeastCapacity, (int)BitOperations.RoundUpToPowerOf2((uint)capacity)));
        var fits = (long)grownSlots * grownCapacity <= _maxTokens;
        _cache.Resize(fits ? grownSlots : slots, fits ? grownCapacity : capacity);
        return true;
    }

    private void ReadPrompts(int firstSlot)
    {
        using var scope = NewDisposeScope();
        var sequences = _live.GetRange(firstSlot, _live.Count - firstSlot);
        var length = sequences.Max(s => s.Prompt.Count);
        var ids = new long[sequences.Count * length];
        var positions = new long[ids.Length];
        for (var row = 0; row < sequences.Count; row++)
        {
            var prompt = sequences[row].Prompt;
            for (var i = 0; i < length; i++)
            {
                ids[(row * length) + i] = i < prompt.Count ? prompt[i] : 0;
                positions[(row * length) + i] = i;
            }
        }

        var hidden = Advance(sequences, firstSlot, ids, positions, [.. sequences.Select(s => s.Prompt.Count)]); // [batch, length, width]
        var last = tensor(sequences.Select((s, row) => ((long)row * length) + s.Prompt.Count - 1).ToArray(), ScalarType.Int64);
        foreach (var sequence in sequences)
        {
            sequence.Cached = sequence.Prompt.Count;
        }

        Choose(hidden.view(-1, _decoder.Config.Width).index_select(0, last), firstSlot);
    }

    private void AdvanceAll()
    {
        using var scope = NewDisposeScope();
        var ids = _live.Select(s => (long)s.Last).ToArray();
        var positions = _live.Select(s => (long)s.Cached).ToArray();
        var hidden = Advance(_live, 0, ids, positions, [.. _live.Select(_ => 1)]); // [live, 1, width]
        foreach (var sequence in _live)
        {
            sequence.Cached++;
        }

        Choose(hidden.squeeze(1), 0);
    }

    /// <summary>
    /// A sequence that becomes longer than LongRoPE's original context reads all of its positions by the long angles, so what is in
    /// the cache is computed anew. Its steering is the same again, and counted once.
    /// </summary>
    private void ReadAgainWhatOutgrewItsAngles()
    {
        for (var slot = 0; slot < _live.Count; slot++)
        {
            var sequence = _live[slot];
            if (sequence.Cached != _decoder.Config.AngleSwitch)
            {
                continue;
            }

            using var scope = NewDisposeScope();
            var ids = sequence.Tokens.Take(sequence.Cached).Select(id => (long)id).ToArray();
            var positions = Enumerable.Range(0, ids.Length).Select(i => (long)i).ToArray();
            var rows = SteeringRows([sequence], positions, [ids.Length]);
            _decoder.Advance(
                tensor(ids, [1, ids.Length], ScalarType.Int64), tensor(positions, [1, ids.Length], ScalarType.Int64),
                _cache, slot, ids.Length, rows.Count == 0 ? null : new SteeringTap(_table, rows), lengths: [ids.Length + 1]);
        }
    }

    /// <summary>Reads tokens of sequences that lie side by side.</summary>
    /// <param name="sequences">The sequences.</param>
    /// <param name="firstSlot">Slot of the first.</param>
    /// <param name="ids">[batch·length], padded on the right.</param>
    /// <param name="positions">[batch·length].</param>
    /// <param name="real">How many tokens of each are not padding.</param>
    private Tensor Advance(List<LiveSequence> sequences, int firstSlot, long[] ids, long[] positions, int[] real)
    {
        var length = ids.Length / sequences.Count;
        var rows = SteeringRows(sequences, positions, real);
        var tap = rows.Count == 0 ? null : new SteeringTap(_table, rows);
        var hidden = _decoder.Advance(
            tensor(ids, [sequences.Count, length], ScalarType.Int64),
            tensor(positions, [sequences.Count, length], ScalarType.Int64),
            _cache, firstSlot, (int)positions.Max() + 1, tap,
            lengths: [.. sequences.Select((s, i) => s.Cached + real[i])]);
        foreach (var layer in rows.Keys)
        {
            CountSteered(sequences, layer, rows[layer], tap!, positions, length);
        }

        return hidden;
    }

    /// <summary>For each layer that a sequence steers, the table's row of each token, [batch·length]; padding gets row 0.</summary>
    private static Dictionary<int, long[]> SteeringRows(List<LiveSequence> sequences, long[] positions, int[] real)
    {
        var rows = new Dictionary<int, long[]>();
        var length = positions.Length / sequences.Count;
        for (var i = 0; i < sequences.Count; i++)
        {
            foreach (var layer in sequences[i].SteeredLayers)
            {
                for (var j = 0; j < real[i]; j++)
                {
                    var at = (i * length) + j;
                    var row = sequences[i].RowAt(layer, (int)positions[at]);
                    if (row != 0)
                    {
                        if (!rows.TryGetValue(layer, out var index))
                        {
                            rows[layer] = index = new long[positions.Length];
                        }

                        index[at] = row;
                    }
                }
            }
        }

        return rows;
    }

    private static void CountSteered(List<LiveSequence> sequences, int layer, long[] rows, SteeringTap tap, long[] positions, int length)
    {
        var norms = tap.NormsBefore(layer);
        var projections = tap.Projections(layer);
        for (var at = 0; at < rows.Length; at++)
        {
            if (rows[at] != 0)
            {
                sequences[at / length].Count(layer, (int)positions[at], norms[at], Array.ConvertAll(projections, of => of[at]));
            }
        }
    }

    /// <summary>Chooses the next token of the sequences from <paramref name="firstSlot"/> on, and lets those that end leave.</summary>
    /// <param name="hidden">Their last tokens' hidden states, [batch, width].</param>
    /// <param name="firstSlot">Slot of the first of them.</param>
    private void Choose(Tensor hidden, int firstSlot)
    {
        var scores = _decoder.Logits(hidden).Floats().ToArray(); // [batch, vocabulary]
        var vocabulary = _decoder.Config.Vocabulary;
        for (var row = (scores.Length / vocabulary) - 1; row >= 0; row--)
        {
            var sequence = _live[firstSlot + row];
            var token = sequence.Sampler.Choose(scores.AsSpan(row * vocabulary, vocabulary));
            if (sequence.Take(token, _endOfSequence.Contains(token)))
            {
                Remove(firstSlot + row);
            }
        }
    }

    /// <summary>Frees a slot; the last live sequence moves into it.</summary>
    private void Remove(int slot)
    {
        _live[slot].Leave();
        var last = _live.Count - 1;
        if (slot != last)
        {
            _cache.Move(last, slot, _live[last].Cached);
            _live[slot] = _live[last];
        }

        _live.RemoveAt(last);
    }
}
