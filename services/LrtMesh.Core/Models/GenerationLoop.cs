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
/// A step: (1) drop cancelled and stopped sequences; (2) admit waiting ones into free slots, with what the prefix cache holds of
/// their prompts; (3) read more of the prompts, all but their last tokens; (4) advance every sequence whose prompt is read by one
/// token. Live sequences fill the cache's slots from 0 without gaps, those whose prompts are read first.
/// </remarks>
internal sealed class GenerationLoop : IDisposable
{
    private const int MaxSlots = 128;
    private const int LeastCapacity = 64; // tokens of a slot: a smaller cache would only be resized sooner
    private const int LeastTokens = 16; // that a cache must hold to be of any use
    private const int PromptTokens = 1024; // read in a step that no sequence waits for
    private const int PromptTokensBeside = 128; // read in a step that few sequences wait for: it takes each of them longer
    private const int LeastShare = 16; // of them a sequence's, or fewer are read at once
    private const int WorthWaiting = 16; // tokens that another sequence is reading just now
    private const int SimilarTokens = 16; // prompts that differ by so many are read as one padded batch
    private const int FixedTokens = 64; // of a prompt, read at a time where answers are the same bit for bit

    private readonly Decoder _decoder;
    private readonly KvCache _cache;
    private readonly bool _deterministic;
    private readonly long _bytesPerToken; // of keys and values
    private readonly long _maxTokens; // of the cache, over all slots
    private readonly PrefixCache _prefixes;
    private readonly SteeringTable _table;
    private readonly HashSet<int> _endOfSequence;
    private readonly GenerationQueue _queue;
    private readonly List<LiveSequence> _live = []; // index = slot
    private int _ready; // the first so many have read their prompts

    public GenerationLoop(Decoder decoder, ServingOptions options)
    {
        _decoder = decoder;
        _deterministic = options.Deterministic;
        var config = decoder.Config;
        _bytesPerToken = KvCache.BytesPerToken(config, SafetensorsType.Of(decoder.Weights.Activations).Bits / 8);
        _maxTokens = options.KvCacheBytes / _bytesPerToken;
        if (_maxTokens < LeastTokens)
        {
            throw LrtMeshException.Invalid(
                "kv-cache-bytes", $"must be at least {LeastTokens * _bytesPerToken}, which {LeastTokens} tokens of this model take, not {options.KvCacheBytes}");
        }

        // It takes memory when sequences come, and as they need: a whole context may be many gigabytes.
        _cache = new KvCache(config, slots: 0, capacity: 0, decoder.Weights.Activations, decoder.Weights.Device);
        _prefixes = new PrefixCache(_bytesPerToken, options.PrefixCacheBytes);
        _table = new SteeringTable(config.Width, decoder.Weights.Device);
        _endOfSequence = [.. config.EndOfSequence];
        _queue = new GenerationQueue(generation => new LiveSequence(generation, _table, config.Layers));
    }

    /// <summary>Whether a step has anything to do.</summary>
    public bool HasWork => _live.Count > 0 || !_queue.IsEmpty;

    /// <summary>Tokens of the longest sequence that fits the cache and the model's context. Any thread.</summary>
    public int LongestSequence => (int)Math.Min(_maxTokens, _decoder.Config.Context);

    /// <summary>Requests that wait for a place. Any thread.</summary>
    public int Queued => _queue.Count;

    /// <summary>Sequences that have one. Any thread.</summary>
    public int Running => _live.Count;

    /// <summary>Memory of keys and values of live sequences, in bytes. Any thread.</summary>
    public long CacheBytes => _cache.Slots * (long)_cache.Capacity * _bytesPerToken;

    /// <summary>The most that they may take, in bytes. Any thread.</summary>
    public long CacheBudget => _maxTokens * _bytesPerToken;

    /// <summary>Memory of kept prompts, in bytes. Any thread.</summary>
    public long PrefixBytes => _prefixes.Bytes;

    /// <summary>What was counted. Any thread.</summary>
    public ServingTally Tally { get; } = new();

    /// <summary>Tensors that the prefix cache holds. Any thread.</summary>
    public int PrefixTensors => _prefixes.Tensors;

    /// <summary>Puts a request in the queue. Any thread.</summary>
    /// <exception cref="LrtMeshException">ResourceExhausted: the queue is full. OutOfRange: it would never fit.</exception>
    public void Enqueue(Generation generation)
    {
        var tokens = generation.Request.Prompt.Count + generation.Request.MaxTokens;
        if (tokens > LongestSequence)
        {
            throw new LrtMeshException(ErrorReason.OutOfRange, $"{tokens} tokens of prompt and answer do not fit: at most {LongestSequence} do");
        }

        _queue.Enqueue(generation);
    }

    /// <summary>Advances everything that is live.</summary>
    public void Step()
    {
        DropStopped();
        _live.ForEach(sequence => sequence.TakeChanges());
        Admit();
        ReadPrompts();
        if (_ready > 0)
        {
            ReadAgainWhatOutgrewItsAngles();
            AdvanceReady();
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

        _queue.FailAll(error);
    }

    public void Dispose()
    {
        _cache.Dispose();
        _prefixes.Dispose();
        _table.Dispose();
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
                _live[slot].Finish(GenerationEnd.Stopped);
                Remove(slot);
            }
        }
    }

    /// <summary>Tokens of prompts to read in a step: while sequences generate about twice as many as they advance by, so that a step seldom takes much longer than others.</summary>
    private int PromptBudget => _ready == 0 ? PromptTokens : Math.Max(PromptTokensBeside, 2 * _ready);

    /// <summary>
    /// Gives waiting sequences free slots in order of arrival, as many as a step can read a fair share of. One that shares much with a prompt
    /// that is being read waits until it is in the prefix cache, and lets others pass.
    /// </summary>
    private void Admit()
    {
        var reading = _live.Count - _ready;
        var admitted = new List<(LiveSequence Sequence, int Unread)>();
        foreach (var next in _queue.Waiting().Take(MaxSlots).ToList())
        {
            if (_live.Count + admitted.Count == MaxSlots || reading >= PromptBudget / LeastShare || !HasRoomFor(next, [.. admitted.Select(one => one.Sequence)]))
            {
                break;
            }

            var held = Reuses(next) ? Held(next) : 0;
            if (Reuses(next) && _live.Skip(_ready).Concat(admitted.Select(one => one.Sequence)).Any(other => other.Prefix.AsSpan().CommonPrefixLength(next.Prefix) - held >= WorthWaiting))
            {
                continue;
            }

            _queue.Remove(next);
            next.Begin();
            Tally.PromptTokens += next.PromptLength;
            Tally.HeldTokens += held;
            admitted.Add((next, next.Prefix.Length - held));
            reading += next.Prefix.Length > held ? 1 : 0;
        }

        // Those of about equal length side by side, so that they are read together.
        foreach (var (sequence, _) in admitted.OrderBy(one => one.Unread))
        {
            if (Reuses(sequence))
            {
                sequence.Resume(_prefixes.Restore(sequence.Prefix.AsSpan(0, Held(sequence)), _cache, _live.Count));
            }

            _live.Add(sequence);
        }
    }

    /// <summary>
    /// Whether one more sequence fits, whose slot holds as many tokens as the longest live one may come to have; makes the cache large
    /// enough for it. What is admitted has room to its end, and is never put off.
    /// </summary>
    private bool HasRoomFor(LiveSequence next, List<LiveSequence> admitted)
    {
        var slots = _live.Count + admitted.Count + 1;
        var capacity = _live.Concat(admitted).Append(next).Max(sequence => sequence.Longest);
        if (slots <= _cache.Slots && capacity <= _cache.Capacity)
        {
            return true;
        }

        if ((long)slots * capacity > _maxTokens)
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

    /// <summary>Positions of a prompt that need not be read; whole pieces where pieces have a fixed size.</summary>
    private int Held(LiveSequence sequence) =>
        _prefixes.Match(sequence.Prefix) is var held && _deterministic ? held - (held % FixedTokens) : held;

    /// <summary>A prompt that is read by LongRoPE's long angles has keys of its own.</summary>
    private bool Reuses(LiveSequence sequence) => !(sequence.PromptLength > _decoder.Config.AngleSwitch);

    /// <summary>Reads a share of each prompt that is not read yet; none waits for another, however long that is.</summary>
    private void ReadPrompts()
    {
        MoveReadyOnes();
        var share = _deterministic ? FixedTokens : PromptBudget / Math.Max(1, _live.Count - _ready);
        int Length(int slot) => Math.Min(share, _live[slot].Unread);
        for (int first = _ready, next; first < _live.Count; first = next)
        {
            next = first + 1;
            while (!_deterministic && next < _live.Count && Math.Abs(Length(next) - Length(first)) <= SimilarTokens)
            {
                next++;
            }

            ReadPrompts(first, [.. Enumerable.Range(first, next - first).Select(Length)]);
        }

        MoveReadyOnes();
    }

    /// <summary>Reads the next tokens of the prompts of sequences that lie side by side.</summary>
    private void ReadPrompts(int first, int[] lengths)
    {
        using var scope = NewDisposeScope();
        var sequences = _live.GetRange(first, lengths.Length);
        var length = lengths.Max();
        var ids = new long[lengths.Length * length];
        var positions = new long[ids.Length];
        for (var row = 0; row < lengths.Length; row++)
        {
            var (prefix, start) = (sequences[row].Prefix, sequences[row].Cached);
            for (var i = 0; i < length; i++)
            {
                ids[(row * length) + i] = i < lengths[row] ? prefix[start + i].Id : 0;
                // Padding writes after the prompt, where generated tokens come later, and stays within the slot.
                positions[(row * length) + i] = Math.Min(start + i, _cache.Capacity - 1);
            }
        }

        Advance(sequences, first, ids, positions, lengths);
        for (var row = 0; row < lengths.Length; row++)
        {
            if (sequences[row].Unread == 0 && Reuses(sequences[row]))
            {
                _prefixes.Insert(sequences[row].Prefix, sequences[row].Steering.PrefixChanges(), _cache, first + row);
            }
        }
    }

    /// <summary>Brings the sequences whose prompts are read to those that were ready before.</summary>
    private void MoveReadyOnes()
    {
        for (var slot = _ready; slot < _live.Count; slot++)
        {
            if (_live[slot].Unread == 0)
            {
                if (slot != _ready)
                {
                    _cache.Swap(slot, _live[slot].Cached, _ready, _live[_ready].Cached);
                    (_live[slot], _live[_ready]) = (_live[_ready], _live[slot]);
                }

                _ready++;
            }
        }
    }

    private void AdvanceReady()
    {
        // From the last on: one that ends makes room for one that was advanced already.
        for (var slot = _ready - 1; _deterministic && slot >= 0; slot--)
        {
            AdvanceReady(slot, 1);
        }

        if (!_deterministic)
        {
            AdvanceReady(0, _ready);
        }
    }

    private void AdvanceReady(int first, int count)
    {
        using var scope = NewDisposeScope();
        var sequences = _live.GetRange(first, count);
        long[] ids = [.. sequences.Select(s => (long)s.Tokens[s.Cached])];
        long[] positions = [.. sequences.Select(s => (long)s.Cached)];
        var hidden = Advance(sequences, first, ids, positions, [.. sequences.Select(_ => 1)]); // [count, 1, width]
        Choose(first, _decoder.Logits(hidden.squeeze(1)).cpu().Floats());
    }

    /// <summary>
    /// A sequence that becomes longer than LongRoPE's original context reads all of its positions by the long angles, so what is in
    /// the cache is computed anew. Its steering is the same again, and counted once.
    /// </summary>
    private void ReadAgainWhatOutgrewItsAngles()
    {
        for (var slot = 0; slot < _ready; slot++)
        {
            var sequence = _live[slot];
            if (sequence.Cached != _decoder.Config.AngleSwitch || !Reuses(sequence))
            {
                continue;
            }

            using var scope = NewDisposeScope();
            var ids = sequence.Tokens.Take(sequence.Cached).Select(id => (long)id).ToArray();
            var positions = Enumerable.Range(0, ids.Length).Select(i => (long)i).ToArray();
            var steering = new BatchSteering(_table, [sequence.Steering], positions, [ids.Length]);
            _decoder.Advance(
                tensor(ids, [1, ids.Length], ScalarType.Int64), tensor(positions, [1, ids.Length], ScalarType.Int64),
                _cache, slot, ids.Length, steering.Tap, lengths: [ids.Length + 1]);
        }
    }

    /// <summary>Reads the next tokens of sequences that lie side by side.</summary>
    /// <param name="sequences">The sequences.</param>
    /// <param name="firstSlot">Slot of the first.</param>
    /// <param name="ids">[batch·length], padded on the right.</param>
    /// <param name="positions">[batch·length].</param>
    /// <param name="real">How many tokens of each are not padding.</param>
    /// <returns>The last block's output, [batch, length, width].</returns>
    private Tensor Advance(List<LiveSequence> sequences, int firstSlot, long[] ids, long[] positions, int[] real)
    {
        var length = ids.Length / sequences.Count;
        var steering = new BatchSteering(_table, sequences.Select(s => s.Steering), positions, real);
        var hidden = _decoder.Advance(
            tensor(ids, [sequences.Count, length], ScalarType.Int64),
            tensor(positions, [sequences.Count, length], ScalarType.Int64),
            _cache, firstSlot, reach: sequences.Select((s, i) => s.Cached + real[i]).Max(), steering.Tap,
            lengths: [.. sequences.Select((s, i) => Math.Max(s.PromptLength, s.Cached + real[i]))]);
        steering.Count();
        for (var i = 0; i < real.Length; i++)
        {
            sequences[i].Cached += real[i];
        }

        return hidden;
    }

    /// <summary>Chooses the next token of sequences that lie side by side, and lets those that end leave.</summary>
    /// <param name="first">Slot of the first.</param>
    /// <param name="scores">[count, vocabulary], overwritten.</param>
    private void Choose(int first, Span<float> scores)
    {
        var vocabulary = _decoder.Config.Vocabulary;
        for (var row = (scores.Length / vocabulary) - 1; row >= 0; row--)
        {
            Tally.GeneratedTokens++;
            if (_live[first + row].Choose(scores.Slice(row * vocabulary, vocabulary), _endOfSequence))
            {
                Remove(first + row);
            }
        }
    }

    /// <summary>Frees a slot; the last ready sequence moves into it, and the last of all into that one's.</summary>
    private void Remove(int slot)
    {
        Tally.SteeredTokens += _live[slot].Steering.Applied.Sum(applied => (long)applied.Positions);
        _live[slot].Steering.Leave();
        if (slot < _ready)
        {
            _ready--;
            Move(_ready, slot);
            slot = _ready;
        }

        Move(_live.Count - 1, slot);
        _live.RemoveAt(_live.Count - 1);
    }

    private void Move(int from, int to)
    {
        if (from != to)
        {
            _cache.Move(from, to, _live[from].Cached);
            _live[to] = _live[from];
        }
    }
}
