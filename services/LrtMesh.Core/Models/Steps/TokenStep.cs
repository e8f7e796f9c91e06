using System.Numerics.Tensors;
using System.Runtime.Intrinsics.X86;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace LrtMesh.Core.Models.Steps;

/// <summary>
/// One more token for each of a few sequences, on a CPU: the block of <see cref="DecoderScript"/> over the same weights and cache, computed here. At so few rows a step
/// takes as long as its weights take to arrive from memory, if nothing else takes time; torch's products first lay their weights out anew, and its operators take a third of the
/// step. What lies between weights and cache is float32, and a sequence gets the same bits in any company.
/// </summary>
/// <remarks>Not safe for concurrent use: the model thread runs it, with its team's threads.</remarks>
internal sealed unsafe class TokenStep : IDisposable
{
    /// <summary>The most sequences: the products of more are bound by arithmetic, at which torch's are better.</summary>
    public const int MostRows = 16;

    private const int Block = RowKernels.Block;
    private const int Tile = 256; // keys: the scores of a group's queries for them lie on a thread's stack

    private readonly ModelConfig _config;
    private readonly ThreadTeam _team;
    private readonly BlockProducts[] _blocks;
    private readonly RowProduct _head;
    private readonly RowNorm _finalNorm;
    private readonly int _group; // queries that read the same keys
    private readonly int _groupRows; // as many as the kernels read and write: 1, or in fours

    // Of a step: [rows, ...], for as many rows as there may be.
    private readonly AlignedFloats _x; // width: what a product reads
    private readonly AlignedFloats _qkv; // qkv width
    private readonly AlignedFloats _attended; // heads·head
    private readonly AlignedFloats _middle; // width: the residual stream between attention and MLP
    private readonly AlignedFloats _added; // width: what attention or MLP adds to it
    private readonly AlignedFloats _gateUp; // 2·mlp, or mlp where there is no gate
    private readonly AlignedFloats _inner; // mlp
    private readonly int[] _positions = new int[MostRows];
    private readonly Action<int> _qkvPart;
    private readonly Action<int> _attentionPart;
    private readonly Action<int> _outputPart;
    private readonly Action<int> _mlpPart;
    private readonly Action<int> _downPart;
    private readonly Action<int> _headPart;

    // Of the block at hand.
    private BlockProducts _block;
    private int _rows;
    private int _computed; // rows with those that fill the last four
    private int? _window;
    private float _scale;
    private float* _cos; // [rows, rotated]
    private float* _sin;
    private byte* _keys; // [rows, capacity, kv_heads, head]
    private byte* _values;
    private IReadOnlyList<Tensor>? _found; // the keys of the cache that the addresses below are of
    private (nint Keys, nint Values)[] _cached = []; // one a layer
    private int _capacity;
    private ScalarType _cacheType;
    private float* _logits;

    /// <summary>A step over a decoder's weights, which have to live as long.</summary>
    /// <param name="config">What the decoder is made of.</param>
    /// <param name="weights">On the CPU.</param>
    /// <param name="threads">That compute it.</param>
    public TokenStep(ModelConfig config, DecoderWeights weights, int threads)
    {
        _config = config;
        _team = new ThreadTeam(threads);
        _blocks = [.. weights.Blocks.Select(block => new BlockProducts(block))];
        _block = _blocks[0];
        _head = new RowProduct(weights.Head, weights.HeadScale);
        _finalNorm = RowNorm.Of(weights.FinalNorm, weights.FinalNormBias)!;
        _group = config.Heads / config.KvHeads;
        _groupRows = InBlocks(_group);
        _x = Rows(config.Width);
        _qkv = new AlignedFloats(((nint)MostRows * config.QkvWidth) + (Block * config.HeadWidth)); // a group's last block may reach beyond it
        _attended = Rows(config.Heads * config.HeadWidth);
        _middle = Rows(config.Width);
        _added = Rows(config.Width);
        _gateUp = Rows(_block.GateUp.Outputs);
        _inner = Rows(config.MlpWidth);
        _qkvPart = part => Compute(_block.Qkv, part, _x, _qkv.First);
        _attentionPart = Attend;
        _outputPart = part => Compute(_block.AttentionOutput, part, _attended, _added.First);
        _mlpPart = ComputeMlp;
        _downPart = part => Compute(_block.Down, part, _inner, _added.First);
        _headPart = part => Compute(_head!, part, _x, _logits);

        static AlignedFloats Rows(int width) => new((nint)MostRows * width);
    }

    /// <summary>Whether this machine and these weights are what it is made for.</summary>
    public static bool Supports(DecoderWeights weights) => Avx512F.IsSupported && weights.Device.type == TorchSharp.DeviceType.CPU
        && weights.Head.dtype is ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Int8;

    /// <summary>Runs the blocks.</summary>
    /// <param name="hidden">What enters block 0, [rows, 1, width], float32.</param>
    /// <param name="positions">Each row's absolute position.</param>
    /// <param name="cache">Where keys and values are; row i is in slot <paramref name="firstSlot"/> + i.</param>
    /// <param name="firstSlot">Slot of the first row.</param>
    /// <param name="angles">Cosines and sines of each row's position, [rows, 1, 1, rotated]; null: nothing is rotated.</param>
    /// <param name="localAngles">Those of blocks with a window.</param>
    /// <param name="tap">Sees each block's output.</param>
    /// <returns>The residual stream after the last block, [rows, 1, width].</returns>
    public Tensor Advance(
        Tensor hidden, ReadOnlySpan<long> positions, KvCache cache, int firstSlot, (Tensor Cos, Tensor Sin)? angles, (Tensor Cos, Tensor Sin)? localAngles, Tap? tap)
    {
        Begin(positions.Length);
        for (var row = 0; row < _rows; row++)
        {
            _positions[row] = (int)positions[row];
        }

        Find(cache);
        var slotBytes = (nint)_capacity * _config.KvHeads * _config.HeadWidth * (_cacheType == ScalarType.Float32 ? sizeof(float) : sizeof(ushort));
        var (cos, sin) = (AddressOf(angles?.Cos), AddressOf(angles?.Sin));
        var (localCos, localSin) = (AddressOf(localAngles?.Cos), AddressOf(localAngles?.Sin));
        var input = AddressOf(hidden);
        for (var layer = 0; layer < _blocks.Length; layer++)
        {
            _block = _blocks[layer];
            _window = _config.WindowOf(layer);
            _scale = (float)_config.ScaleOfScores(layer);
            _keys = (byte*)_cached[layer].Keys + (firstSlot * slotBytes);
            _values = (byte*)_cached[layer].Values + (firstSlot * slotBytes);
            _cos = (float*)(_window is null ? cos : localCos);
            _sin = (float*)(_window is null ? sin : localSin);
            var output = tap is { Keeps: true } ? empty_like(hidden) : hidden;
            ComputeBlock((float*)input, (float*)(ReferenceEquals(output, hidden) ? input : AddressOf(output)));
            var next = tap?.AfterBlock(layer, output) ?? output;
            if (!ReferenceEquals(next, hidden))
            {
                hidden = next;
                input = AddressOf(hidden);
            }
        }

        return hidden;
    }

    /// <summary>Next-token scores.</summary>
    /// <param name="hidden">Rows of the last block's output, [rows, width], float32.</param>
    /// <returns>[rows, vocabulary], float32.</returns>
    public Tensor Logits(Tensor hidden)
    {
        Begin((int)hidden.size(0));
        var all = empty(_computed, _head.Outputs, ScalarType.Float32);
        _logits = (float*)TensorMemory.Address(all);
        var stream = (float*)TensorMemory.Address(hidden);
        for (var row = 0; row < _rows; row++)
        {
            _finalNorm.Apply(Row(stream, row, _config.Width), _x.Row(row, _config.Width), _config.NormEpsilon);
        }

        Share(_head, _headPart);
        if (_config.LogitSoftcap is { } cap)
        {
            Cap(all.Floats(), (float)cap);
        }

        return all.narrow(0, 0, _rows);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _team.Dispose();
        foreach (var floats in new[] { _x, _qkv, _attended, _middle, _added, _gateUp, _inner })
        {
            floats.Dispose();
        }
    }

    private static nint AddressOf(Tensor? tensor) => tensor is null ? 0 : (nint)TensorMemory.Address(tensor);

    private static int InBlocks(int rows) => rows == 1 ? 1 : (rows + Block - 1) / Block * Block;

    private static Span<float> Row(float* first, int row, int width) => new(first + ((nint)row * width), width);

    private static void Cap(Span<float> scores, float cap)
    {
        TensorPrimitives.Divide(scores, cap, scores);
        TensorPrimitives.Tanh(scores, scores);
        TensorPrimitives.Multiply(scores, cap, scores);
    }

    /// <summary>Where a cache keeps what; it makes itself new lists when it is resized.</summary>
    private void Find(KvCache cache)
    {
        if (!ReferenceEquals(cache.Keys, _found))
        {
            _found = cache.Keys;
            _cached = [.. cache.Keys.Zip(cache.Values, (keys, values) => (AddressOf(keys), AddressOf(values)))];
            _cacheType = cache.Keys[0].dtype;
        }

        _capacity = cache.Capacity;
    }

    private void Begin(int rows) => (_rows, _computed) = (rows, InBlocks(rows));

    /// <summary>The block at hand, from h to what comes out, which may be the same: [rows, width].</summary>
    private void ComputeBlock(float* h, float* output)
    {
        var width = _config.Width;
        Norm(_block.AttentionNorm, h, _x.First);
        Share(_block.Qkv, _qkvPart);
        if (_config.QueryKeyNorm == QueryKeyNorm.Whole)
        {
            NormWholeQueriesAndKeys();
        }

        _team.Run(_attentionPart, _rows * _config.KvHeads);
        Share(_block.AttentionOutput, _outputPart);
        NormAdded(_block.AttentionOutputNorm);
        var all = _rows * width;
        TensorPrimitives.Add(new Span<float>(h, all), new Span<float>(_added.First, all), new Span<float>(_middle.First, all));
        Norm(_block.MlpNorm, _config.ParallelResidual ? h : _middle.First, _x.First);
        _team.Run(_mlpPart, Parts(_config.MlpWidth, MlpShare));
        Share(_block.Down, _downPart);
        NormAdded(_block.MlpOutputNorm);
        TensorPrimitives.Add(new Span<float>(_middle.First, all), new Span<float>(_added.First, all), new Span<float>(output, all));
    }

    private static int Parts(int outputs, int share) => (outputs + share - 1) / share;

    private void Share(RowProduct product, Action<int> part) => _team.Run(part, Parts(product.Outputs, product.Share));

    private void Compute(RowProduct product, int part, AlignedFloats x, float* y) =>
        product.Compute(part * product.Share, (part + 1) * product.Share, x.First, _computed, y);

    /// <summary>Each row's norm; the row itself where there is none.</summary>
    private void Norm(RowNorm? norm, float* from, float* to)
    {
        for (var row = 0; row < _rows; row++)
        {
            if (norm is null)
            {
                Row(from, row, _config.Width).CopyTo(Row(to, row, _config.Width));
            }
            else
            {
                norm.Apply(Row(from, row, _config.Width), Row(to, row, _config.Width), _config.NormEpsilon);
            }
        }
    }

    private void NormAdded(RowNorm? norm)
    {
        if (norm is not null)
        {
            Norm(norm, _added.First, _added.First);
        }
    }

    private void NormWholeQueriesAndKeys()
    {
        var (queries, keys) = (_config.Heads * _config.HeadWidth, _config.KvHeads * _config.HeadWidth);
        for (var row = 0; row < _rows; row++)
        {
            var all = _qkv.Row(row, _config.QkvWidth);
            _block.QueryNorm!.Apply(all[..queries], all[..queries], _config.NormEpsilon);
            _block.KeyNorm!.Apply(all.Slice(queries, keys), all.Slice(queries, keys), _config.NormEpsilon);
        }
    }

    /// <summary>The queries of one row that read the same keys: writes the row's key and value to the cache and attends to all up to there.</summary>
    private void Attend(int part)
    {
        var (row, head) = Math.DivRem(part, _config.KvHeads);
        var width = _config.HeadWidth;
        var qkv = _qkv.First + ((nint)row * _config.QkvWidth);
        var queries = qkv + ((nint)head * _group * width);
        for (var query = 0; query < _group; query++)
        {
            Turn(Row(queries, query, width), row, _block.QueryNorm);
        }

        var key = Row(qkv, _config.Heads + head, width);
        Turn(key, row, _block.KeyNorm);
        var at = (((row * (nint)_capacity) + _positions[row]) * _config.KvHeads) + head;
        var first = Math.Max(0, _positions[row] + 1 - (_window ?? int.MaxValue));
        var attended = _attended.First + ((((nint)row * _config.Heads) + (head * _group)) * width);
        var before = (((row * (nint)_capacity) + first) * _config.KvHeads) + head;
        if (_cacheType == ScalarType.Float32)
        {
            Write<Float32Element>(at, key, Row(qkv, _config.Heads + _config.KvHeads + head, width), V1.Dtype.Float32);
            Attend<Float32Element>(before, _positions[row] + 1 - first, queries, attended);
        }
        else
        {
            Write<BFloat16Element>(at, key, Row(qkv, _config.Heads + _config.KvHeads + head, width), V1.Dtype.Bfloat16);
            Attend<BFloat16Element>(before, _positions[row] + 1 - first, queries, attended);
        }
    }

    private void Write<T>(nint at, Span<float> key, Span<float> value, V1.Dtype dtype)
        where T : struct, IElement
    {
        var bytes = _config.HeadWidth * T.Size;
        ElementConversion.Write(key, dtype, new Span<byte>(_keys + (at * bytes), bytes));
        ElementConversion.Write(value, dtype, new Span<byte>(_values + (at * bytes), bytes));
    }

    /// <summary>
    /// Attention to a tile of keys at a time. The softmax's largest score and its sum are carried from tile to tile (Milakov and Gimelshein, arXiv:1805.02867, algorithm 3), so
    /// that what it needs does not grow with the sequence.
    /// </summary>
    /// <param name="first">Of the keys that are seen, counted in heads from the first row's slot.</param>
    /// <param name="count">Keys that are seen.</param>
    /// <param name="queries">[group, head].</param>
    /// <param name="attended">[group, head].</param>
    private void Attend<T>(nint first, int count, float* queries, float* attended)
        where T : struct, IElement
    {
        var width = _config.HeadWidth;
        nint bytes = width * T.Size, stride = bytes * _config.KvHeads;
        float* scores = stackalloc float[_groupRows * Tile], ofTile = stackalloc float[_group * width];
        Span<float> largest = stackalloc float[_group], sums = stackalloc float[_group], kept = stackalloc float[_group];
        largest.Fill(float.NegativeInfinity);
        sums.Clear();
        for (var from = 0; from < count; from += Tile)
        {
            var keys = Math.Min(Tile, count - from);
            var at = (first * bytes) + (from * stride);
            RowKernels.Dots<T>(_keys + at, stride, keys, width, queries, _groupRows, scores, Tile);
            for (var query = 0; query < _group; query++)
            {
                var of = Row(scores, query, Tile)[..keys];
                TensorPrimitives.Multiply(of, _scale, of);
                if (_config.AttentionSoftcap is { } cap)
                {
                    Cap(of, (float)cap);
                }

                var before = largest[query];
                largest[query] = MathF.Max(before, TensorPrimitives.Max<float>(of));
                kept[query] = MathF.Exp(before - largest[query]); // of what is summed so far: 0 at the first tile
                TensorPrimitives.Subtract(of, largest[query], of);
                TensorPrimitives.Exp(of, of);
                sums[query] = (sums[query] * kept[query]) + TensorPrimitives.Sum<float>(of);
            }

            RowKernels.Sums<T>(_values + at, stride, keys, width, scores, Tile, _groupRows, _group, from == 0 ? attended : ofTile);
            for (var query = 0; from > 0 && query < _group; query++)
            {
                TensorPrimitives.MultiplyAdd(Row(attended, query, width), kept[query], Row(ofTile, query, width), Row(attended, query, width));
            }
        }

        for (var query = 0; query < _group; query++)
        {
            TensorPrimitives.Divide(Row(attended, query, width), sums[query], Row(attended, query, width));
        }
    }

    /// <summary>A head's norm, where it has one of its own, and its rotation: x·cos + (−high, low)·sin.</summary>
    private void Turn(Span<float> head, int row, RowNorm? norm)
    {
        if (_config.QueryKeyNorm == QueryKeyNorm.Head)
        {
            norm!.Apply(head, head, _config.NormEpsilon);
        }

        if (_config.RotatedWidth is > 0 and var rotated)
        {
            var half = rotated / 2;
            Span<float> cos = Row(_cos, row, rotated), sin = Row(_sin, row, rotated);
            Span<float> low = head[..half], high = head.Slice(half, half);
            Span<float> fromHigh = stackalloc float[half], fromLow = stackalloc float[half];
            TensorPrimitives.Multiply(high, sin[..half], fromHigh);
            TensorPrimitives.Multiply(low, sin[half..], fromLow);
            TensorPrimitives.Multiply(low, cos[..half], low);
            TensorPrimitives.Subtract(low, fromHigh, low);
            TensorPrimitives.MultiplyAdd(high, cos[half..], fromLow, high);
        }
    }

    private int MlpShare => _config.GatedMlp ? Math.Max(Block, _block.GateUp.Share / 2) : _block.GateUp.Share;

    /// <summary>Some of the MLP's inner values: the products that they need, and the activation.</summary>
    private void ComputeMlp(int part)
    {
        var mlp = _config.MlpWidth;
        var (from, to) = (part * MlpShare, Math.Min(mlp, (part + 1) * MlpShare));
        _block.GateUp.Compute(from, to, _x.First, _computed, _gateUp.First);
        if (_config.GatedMlp)
        {
            _block.GateUp.Compute(mlp + from, mlp + to, _x.First, _computed, _gateUp.First);
        }

        for (var row = 0; row < _rows; row++)
        {
            var gateUp = _gateUp.Row(row, _block.GateUp.Outputs);
            var inner = _inner.Row(row, mlp)[from..to];
            MlpActivation.Apply(_config.Activation, gateUp[from..to], inner);
            if (_config.GatedMlp)
            {
                TensorPrimitives.Multiply(inner, gateUp[(mlp + from)..(mlp + to)], inner);
            }
        }
    }
}
