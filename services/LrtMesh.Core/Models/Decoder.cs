using System.Runtime.InteropServices;
using LrtMesh.Core.Models.Steps;
using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// The one decoder: it reads the configuration record, and a family is data. Not safe for concurrent use; a loaded model
/// runs it on its model thread. Callers hold the dispose scope.
/// </summary>
public sealed class Decoder : IDisposable
{
    private readonly jit.CompilationUnit _script;
    private readonly Angles? _angles; // null where positions are learned
    private readonly Angles? _localAngles; // of blocks with a window; null: the same
    private readonly Device _device;
    private readonly int? _window; // the same in every block that has one
    private TokenStep? _step; // once it was of use

    /// <summary>A decoder over weights, which it owns.</summary>
    public Decoder(ModelConfig config, DecoderWeights weights)
    {
        var int8 = weights.Head.dtype == ScalarType.Int8;
        // The script is written from the configuration and called with the weights, and a wrong call ends the process.
        if (!weights.Blocks.All(block => block.Parts.Select(part => part.Name).SequenceEqual(DecoderScript.BlockParameters(config, int8)))
            || (weights.EmbeddingScale is not null, weights.HeadScale is not null) != (int8, int8))
        {
            throw new ArgumentException("the weights' parts are not those that the configuration names", nameof(weights));
        }

        Config = config;
        Weights = weights;
        _device = weights.Device;
        _window = config.Windows.Distinct().SingleOrDefault(window => window is not null);
        _script = DecoderScript.Compile(config, int8);
        if (config.RotatedWidth > 0)
        {
            _angles = new Angles(config, config.RopeTheta, config.RopeScaling, _device);
            _localAngles = config.LocalRopeTheta is { } theta ? new Angles(config, theta, config.LocalRopeScaling, _device) : null;
        }
    }

    /// <summary>What it is made of.</summary>
    public ModelConfig Config { get; }

    /// <summary>Its weights; replaced by the trainer at every step, by nobody else.</summary>
    public DecoderWeights Weights
    {
        get;
        set
        {
            _step?.Dispose();
            (field, _step) = (value, null);
        }
    }

    /// <summary>The residual stream that enters block 0, of sequences that start at position 0.</summary>
    /// <param name="ids">[batch, seq], int64.</param>
    /// <returns>[batch, seq, width], float32.</returns>
    public Tensor Embed(Tensor ids) => Embed(ids.to(_device), tensor(Range(0, (int)ids.size(1)), device: _device).unsqueeze(0));

    /// <summary>Reads whole sequences from position 0, all tokens attended causally, without a cache.</summary>
    /// <param name="ids">
    /// [batch, seq], int64. Shorter sequences are padded on the right; what comes out there means nothing. Where the model
    /// has an <see cref="ModelConfig.AngleSwitch"/> all sequences are read as if they were as long as the batch.
    /// </param>
    /// <param name="tap">Sees each block's output.</param>
    /// <returns>The residual stream after the last block that ran, [batch, seq, width].</returns>
    public Tensor Read(Tensor ids, Tap? tap)
    {
        var length = (int)ids.size(1);
        var angles = _angles?.Of(length, length > Config.AngleSwitch);
        var localAngles = _localAngles?.Of(length, isLong: false) ?? angles;
        var positions = Range(0, length);
        // A mask only where something but causality is asked for: without one attention is faster.
        var capped = Config.AttentionSoftcap is not null;
        var mask = capped ? Mask(positions, 1, length, window: null) : null; // [1, 1, seq, seq]
        var windowMask = _window < length ? Mask(positions, 1, length, _window) : mask;
        var hidden = Embed(ids.to(_device), tensor(positions, device: _device).unsqueeze(0)); // [batch, seq, width]
        for (var layer = 0; layer < Config.Layers; layer++)
        {
            var windowed = Config.WindowOf(layer) is not null;
            hidden = (windowed ? windowMask : mask) is { } seen
                ? Block("masked", hidden, layer, windowed ? localAngles : angles, seen)
                : Block("whole", hidden, layer, windowed ? localAngles : angles);
            hidden = tap?.AfterBlock(layer, hidden) ?? hidden;
            if (tap?.LastLayer == layer)
            {
                break;
            }
        }

        return hidden;
    }

    /// <summary>Reads the next tokens of sequences whose earlier tokens are in the cache.</summary>
    /// <param name="ids">[batch, seq], int64.</param>
    /// <param name="positions">
    /// [batch, seq], int64, on the CPU: absolute positions. Padding, on whichever side, has positions after its sequence's last, each its own and within
    /// the cache; on the right they go on counting.
    /// </param>
    /// <param name="cache">Where keys and values are; sequence i of the batch is in slot <paramref name="firstSlot"/> + i.</param>
    /// <param name="firstSlot">Slot of the batch's first sequence.</param>
    /// <param name="reach">One past the largest position of the batch that is not padding.</param>
    /// <param name="tap">Sees each block's output.</param>
    /// <param name="lengths">
    /// Each sequence's length with these tokens; null: <paramref name="reach"/>. Matters where the model has an
    /// <see cref="ModelConfig.AngleSwitch"/>: a sequence that comes to be longer has to be read again from its start.
    /// </param>
    /// <returns>The residual stream after the last block, [batch, seq, width].</returns>
    public Tensor Advance(Tensor ids, Tensor positions, KvCache cache, int firstSlot, int reach, Tap? tap, IReadOnlyList<int>? lengths = null)
    {
        var batch = (int)ids.size(0);
        ReadOnlySpan<long> absolute = MemoryMarshal.Cast<byte, long>(positions.bytes);
        (ids, positions) = (ids.to(_device), positions.to(_device));
        var longOnes = (lengths ?? [.. Enumerable.Repeat(reach, batch)]).Select(length => length > Config.AngleSwitch).ToArray();
        var angles = _angles?.At(positions, cache.Capacity, longOnes);
        var localAngles = _localAngles?.At(positions, cache.Capacity, new bool[batch]) ?? angles;
        if (ids.size(1) == 1 && StepOf(batch) is { } step)
        {
            return step.Advance(Embed(ids, positions), absolute, cache, firstSlot, angles, localAngles, tap);
        }

        var slots = tensor(Range(firstSlot, batch), device: _device).unsqueeze(1); // [batch, 1]
        var mask = Mask(absolute, batch, reach, window: null); // [batch, 1, seq, reach]
        var windowMask = _window < reach ? Mask(absolute, batch, reach, _window) : mask;
        var hidden = Embed(ids, positions); // [batch, seq, width]
        for (var layer = 0; layer < Config.Layers; layer++)
        {
            var windowed = Config.WindowOf(layer) is not null;
            hidden = Block(
                "cached", hidden, layer, windowed ? localAngles : angles, windowed ? windowMask : mask,
                cache.Keys[layer], cache.Values[layer], slots, positions, firstSlot, reach);
            hidden = tap?.AfterBlock(layer, hidden) ?? hidden;
        }

        return hidden;
    }

    /// <summary>Next-token scores of rows of the last block's output.</summary>
    /// <param name="hidden">[..., width].</param>
    /// <returns>[..., vocabulary], float32.</returns>
    public Tensor Logits(Tensor hidden) => hidden.dim() == 2 && !hidden.requires_grad && StepOf(hidden.size(0)) is { } step ? step.Logits(hidden.contiguous()) : (Tensor)_script.invoke(
        "logits", [hidden, .. Given(Weights.FinalNorm, Weights.FinalNormBias, Weights.Head, Weights.HeadScale)]);

    /// <inheritdoc/>
    public void Dispose()
    {
        _step?.Dispose();
        Weights.Dispose();
        _angles?.Dispose();
        _localAngles?.Dispose();
        _script.Dispose();
    }

    /// <summary>What computes so many rows, one token of each sequence; null: the script does.</summary>
    private TokenStep? StepOf(long rows) => rows <= TokenStep.MostRows && TokenStep.Supports(Weights)
        ? _step ??= new TokenStep(Config, Weights, get_num_threads())
        : null;

    private Tensor Embed(Tensor ids, Tensor positions) => (Tensor)_script.invoke(
        "embed", [ids, .. Given(Weights.Embedding, Weights.EmbeddingScale, Weights.Positions is null ? null : positions, Weights.Positions)]);

    private static IEnumerable<Tensor> Given(params Tensor?[] arguments) => arguments.OfType<Tensor>();

    private Tensor Block(string function, Tensor hidden, int layer, (Tensor Cos, Tensor Sin)? angles, params object[] more)
    {
        List<object> arguments = [hidden, .. Weights.Blocks[layer].All, Config.ScaleOfScores(layer), .. more];
        if (angles is var (cos, sin))
        {
            arguments.Add(cos);
            arguments.Add(sin);
        }

        return (Tensor)_script.invoke(function, [.. arguments.Select(argument => argument switch { int number => Number.Of(number), double number => Number.Of(number), _ => argument })]);
    }

    private static long[] Range(int first, int count) => [.. Enumerable.Range(first, count).Select(number => (long)number)];

    /// <summary>Which keys a token sees: those at positions up to its own, and within the window.</summary>
    /// <remarks>Made here: torch's operators would take numbers, which the finalizer may free before native code has read them (see <see cref="Block"/>).</remarks>
    /// <param name="positions">Of the tokens, [batch, seq].</param>
    /// <param name="batch">Sequences.</param>
    /// <param name="reach">Keys.</param>
    /// <param name="window">How many a token sees, itself included; null: all.</param>
    /// <returns>[batch, 1, seq, reach].</returns>
    private Tensor Mask(ReadOnlySpan<long> positions, int batch, int reach, int? window)
    {
        var seen = new bool[checked(positions.Length * reach)];
        for (var token = 0; token < positions.Length; token++)
        {
            // A token of padding may lie beyond all keys; it too must see one, since a row of weights over nothing is NaN.
            var own = (int)Math.Min(positions[token], reach - 1);
            var first = window is { } width ? Math.Max(0, own + 1 - width) : 0;
            seen.AsSpan((token * reach) + first, own + 1 - first).Fill(true);
        }

        return tensor(seen, [batch, 1, positions.Length / batch, reach], device: _device);
    }

    /// <summary>The angles of one kind of block: one table, and another for long sequences where the model has them.</summary>
    private sealed class Angles(ModelConfig config, double theta, RopeScaling? scaling, Device device) : IDisposable
    {
        private readonly RotaryTable _table = Table(config, theta, scaling, isLong: false, device);
        private readonly RotaryTable? _long = scaling is LongRopeScaling ? Table(config, theta, scaling, isLong: true, device) : null;

        /// <summary>Of the positions 0 to <paramref name="length"/> − 1, [1, seq, 1, rotated].</summary>
        public (Tensor Cos, Tensor Sin) Of(int length, bool isLong)
        {
            var (cos, sin) = (isLong ? _long ?? _table : _table).To(length);
            return (cos.narrow(0, 0, length).view(1, length, 1, -1), sin.narrow(0, 0, length).view(1, length, 1, -1));
        }

        /// <summary>Of the positions given, all below <paramref name="reach"/>, [batch, seq, 1, rotated].</summary>
        public (Tensor Cos, Tensor Sin) At(Tensor positions, int reach, bool[] longOnes)
        {
            if (_long is null || !longOnes.Contains(true))
            {
                return Rows(_table, positions, reach);
            }

            var (longCos, longSin) = Rows(_long, positions, reach);
            if (!longOnes.Contains(false))
            {
                return (longCos, longSin);
            }

            var (cos, sin) = Rows(_table, positions, reach);
            var isLong = tensor(longOnes, device: positions.device).view(-1, 1, 1, 1);
            return (where(isLong, longCos, cos), where(isLong, longSin, sin));
        }

        public void Dispose()
        {
            _table.Dispose();
            _long?.Dispose();
        }

        private static RotaryTable Table(ModelConfig config, double theta, RopeScaling? scaling, bool isLong, Device device) => new(
            RopeScaling.Frequencies(theta, config.RotatedWidth, scaling, isLong), scaling?.Magnitude ?? 1, config.Context, device);

        private static (Tensor Cos, Tensor Sin) Rows(RotaryTable table, Tensor positions, int reach)
        {
            var (cos, sin) = table.To(reach);
            var flat = positions.view(-1);
            var (batch, length) = (positions.size(0), positions.size(1));
            return (cos.index_select(0, flat).view(batch, length, 1, -1), sin.index_select(0, flat).view(batch, length, 1, -1));
        }
    }
}
