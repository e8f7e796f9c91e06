using LrtMesh.Core.Models.Chat;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Telemetry;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>Takes the hidden states of a sequence at a layer; runs on the model's thread.</summary>
/// <param name="sequence">Which of the sequences.</param>
/// <param name="layer">Which of the layers asked for, by its place among them.</param>
/// <param name="states">[tokens, width], row-major; gone when this returns.</param>
public delegate void TakeStates(int sequence, int layer, ReadOnlySpan<float> states);

/// <summary>A model in memory, with its tokenizer and its thread. Safe for concurrent use.</summary>
public sealed class LoadedModel : IDisposable
{
    // Of a pass that reads hidden states.
    private const int PassTokens = 4096; // with padding
    private const int EnoughTokens = 512; // with fewer a pass costs more than padding does
    private const double PaddingShare = 0.1;

    private readonly Decoder _decoder;
    private readonly GenerationLoop _loop;
    private readonly ModelThread _thread;
    private readonly ModelMetrics _metrics;
    private int _disposed;

    private LoadedModel(string name, Decoder decoder, DtypeChoice dtype, DeviceChoice device, Tokenizer tokenizer, ChatFormat chat, string digest, ServingOptions serving)
    {
        Name = name;
        Tokenizer = tokenizer;
        Chat = chat;
        _decoder = decoder;
        _loop = new GenerationLoop(decoder, serving);
        _thread = new ModelThread(name, _loop);
        _metrics = new ModelMetrics(name, _loop, _thread);
        Description = Describe(digest, dtype, device);
        LongestPrompt = serving.PromptTokens > 0 ? serving.PromptTokens : int.MaxValue;
    }

    /// <summary>The name by which requests refer to it.</summary>
    public string Name { get; }

    /// <summary>Its tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>How its conversations are written.</summary>
    public ChatFormat Chat { get; }

    /// <summary>Its sizes and digests.</summary>
    public Model Description { get; }

    /// <summary>Tokens of prompt and answer at most: what the context and the memory for keys and values allow.</summary>
    public int LongestSequence => _loop.LongestSequence;

    /// <summary>Tokens of a prompt, at most, beside what <see cref="LongestSequence"/> allows.</summary>
    public int LongestPrompt { get; }

    /// <summary>Tensors that live on between requests: what is held of prompts that were read.</summary>
    public int PrefixTensors => _loop.PrefixTensors;

    /// <summary>How long its thread has been at one piece of work, a reading or a step; 0 while it waits.</summary>
    public TimeSpan AtWork => _thread.AtWork;

    /// <summary>Loads a model.</summary>
    /// <param name="name">The name by which requests will refer to it.</param>
    /// <param name="folder">A folder in Hugging Face layout.</param>
    /// <param name="dtype">The type to compute in.</param>
    /// <param name="device">Where to compute, as <see cref="DeviceChoice.Form"/> says.</param>
    /// <param name="serving">How it serves generation; null: as by default.</param>
    /// <param name="limits">What it is held to; null: the memory that this process may use.</param>
    /// <exception cref="LrtMeshException">Unreadable, damaged or unsupported; names file and key or tensor. ResourceExhausted: more than the memory that is left.</exception>
    public static LoadedModel Load(
        string name, string folder, ComputeDtype dtype = ComputeDtype.Auto, string device = "cpu", ServingOptions? serving = null, LoadLimits? limits = null)
    {
        var tokenizer = Tokenizer.Load(folder);
        var chat = ChatFormat.Load(folder);
        var where = DeviceChoice.Make(device);
        var choice = DtypeChoice.Make(dtype, folder, where.Device);
        var decoder = Checkpoint.Load(folder, choice.Weights, where.Device, limits);
        try
        {
            return tokenizer.VocabularySize <= decoder.Config.Vocabulary
                ? new LoadedModel(name, decoder, choice, where, tokenizer, chat, DigestOf(folder, tokenizer, limits), serving ?? new ServingOptions())
                : throw new LrtMeshException(
                    ErrorReason.FailedPrecondition,
                    $"{folder}: the tokenizer has {tokenizer.VocabularySize} entries and the model {decoder.Config.Vocabulary}; they belong to different models");
        }
        catch
        {
            decoder.Dispose();
            throw;
        }
    }

    /// <summary>The tokens of a conversation, with the special tokens that its template writes and no others.</summary>
    /// <inheritdoc cref="ChatFormat.Render(V1.Chat, bool, string)"/>
    public IReadOnlyList<TextToken> Encode(V1.Chat chat, bool addGenerationPrompt, string field) => Encode(Chat.Render(chat, addGenerationPrompt, field), field);

    /// <summary>The tokens of a conversation, and where the contents of its messages lie in its text.</summary>
    /// <inheritdoc cref="ChatFormat.RenderWithContents"/>
    public (IReadOnlyList<TextToken> Tokens, IReadOnlyList<ContentSpan> Contents) EncodeWithContents(V1.Chat chat, bool addGenerationPrompt, string field)
    {
        var (text, contents) = Chat.RenderWithContents(chat, addGenerationPrompt, field);
        return (Encode(text, field), contents);
    }

    private IReadOnlyList<TextToken> Encode(string rendered, string field)
    {
        var tokens = Tokenizer.Encode(rendered, addSpecialTokens: false);
        return tokens.Count > 0 ? tokens : throw LrtMeshException.Invalid(field, "the chat template makes no text of it");
    }

    /// <summary>Reads hidden states, several sequences of about one length at a time; the pass stops after the last layer wanted.</summary>
    /// <param name="sequences">Token ids, each at least one and at most the model's context.</param>
    /// <param name="layers">Layers wanted, each within the model.</param>
    /// <param name="take">Called once for each sequence and layer, sequences in any order.</param>
    /// <param name="cancellation">Ends it before the next batch; nothing is taken any more once the task has ended.</param>
    /// <exception cref="LrtMeshException">ResourceExhausted: the queue is full.</exception>
    public async Task ReadStatesAsync(
        IReadOnlyList<IReadOnlyList<int>> sequences, IReadOnlyList<int> layers, TakeStates take, CancellationToken cancellation)
    {
        // While one batch is read the next waits in the queue: the thread goes on at once.
        Task running = Task.CompletedTask, waiting = Task.CompletedTask;
        try
        {
            foreach (var batch in BatchesByLength(sequences))
            {
                waiting = _thread.RunAsync(
                    () =>
                    {
                        ReadStates(batch, sequences, layers, take);
                        return true;
                    },
                    cancellation);
                await running;
                running = waiting;
            }
        }
        finally
        {
            await Task.WhenAll(running, waiting).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        await waiting;
    }

    /// <summary>Reads a sequence with given states in the place of a layer's own at some positions.</summary>
    /// <param name="sequence">Token ids, at least two and at most the model's context.</param>
    /// <param name="layer">The layer whose output is replaced.</param>
    /// <param name="positions">Where; none: the model runs as it is.</param>
    /// <param name="states">What comes there, [positions, width].</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>−ln of the probability of each token after the first, [tokens − 1].</returns>
    /// <exception cref="LrtMeshException">ResourceExhausted: the queue is full.</exception>
    public Task<float[]> RunOnAsync(IReadOnlyList<int> sequence, int layer, long[] positions, float[] states, CancellationToken cancellation) => _thread.RunAsync(
        () =>
        {
            var ids = tensor([.. sequence.Select(id => (long)id)], [1, sequence.Count], ScalarType.Int64);
            var tap = positions.Length == 0 ? null : new ReplaceTap(layer, tensor(positions), tensor(states, positions.Length, _decoder.Config.Width));
            var logits = _decoder.Logits(_decoder.Read(ids, tap)).squeeze(0); // [seq, vocabulary]
            var next = ids.view(-1, 1).narrow(0, 1, sequence.Count - 1); // [seq - 1, 1]
            var losses = logits.narrow(0, 0, sequence.Count - 1).to_type(ScalarType.Float32).log_softmax(-1).gather(1, next.to(logits.device)).neg();
            return losses.cpu().contiguous().Floats().ToArray();
        },
        cancellation);

    /// <summary>Puts a sequence in the queue for generation.</summary>
    /// <exception cref="LrtMeshException">ResourceExhausted: the queue is full. OutOfRange: longer than <see cref="LongestSequence"/>. Unavailable: it is disposed.</exception>
    public Generation Generate(GenerationRequest request, CancellationToken cancellation)
    {
        var generation = new Generation(request, cancellation);
        _thread.Enqueue(generation);
        _metrics.Observe(generation);
        return generation;
    }

    /// <summary>Frees it after the step that it is at; what waits, runs or comes later ends with UNAVAILABLE.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _metrics.Dispose();
        _thread.Dispose();
        _loop.Dispose();
        _decoder.Dispose();
    }

    /// <summary>
    /// Indexes of sequences of about equal length, so that little is padding; those that are read by other rotary angles, being longer,
    /// apart from the rest.
    /// </summary>
    private IEnumerable<List<int>> BatchesByLength(IReadOnlyList<IReadOnlyList<int>> sequences)
    {
        var batch = new List<int>();
        var tokens = 0;
        bool IsLong(int index) => sequences[index].Count > _decoder.Config.AngleSwitch;
        foreach (var index in Enumerable.Range(0, sequences.Count).OrderBy(i => sequences[i].Count))
        {
            var length = sequences[index].Count; // at least as long as all before
            var padded = (batch.Count + 1) * length;
            var wasteful = tokens >= EnoughTokens && padded - (tokens + length) > padded * PaddingShare;
            if (batch.Count > 0 && (padded > PassTokens || wasteful || IsLong(batch[0]) != IsLong(index)))
            {
                yield return batch;
                batch = [];
                tokens = 0;
            }

            batch.Add(index);
            tokens += length;
        }

        if (batch.Count > 0)
        {
            yield return batch;
        }
    }

    private void ReadStates(List<int> batch, IReadOnlyList<IReadOnlyList<int>> sequences, IReadOnlyList<int> layers, TakeStates take)
    {
        var length = batch.Max(index => sequences[index].Count);
        var ids = new long[batch.Count * length];
        for (var row = 0; row < batch.Count; row++)
        {
            var sequence = sequences[batch[row]];
            for (var i = 0; i < sequence.Count; i++)
            {
                ids[(row * length) + i] = sequence[i];
            }
        }

        var tap = new CaptureTap(layers);
        _decoder.Read(tensor(ids, [batch.Count, length], ScalarType.Int64), tap);
        _loop.Tally.ReadTokens += batch.Sum(index => sequences[index].Count);
        var width = _decoder.Config.Width;
        for (var layer = 0; layer < layers.Count; layer++)
        {
            var states = tap[layers[layer]].cpu().Floats(); // [batch, length, width]
            for (var row = 0; row < batch.Count; row++)
            {
                take(batch[row], layer, states.Slice(row * length * width, sequences[batch[row]].Count * width));
            }
        }
    }

    private Model Describe(string digest, DtypeChoice dtype, DeviceChoice device) => new()
    {
        Name = Name,
        Digest = digest,
        Family = _decoder.Config.Family,
        Layers = (uint)_decoder.Config.Layers,
        Width = (uint)_decoder.Config.Width,
        Vocabulary = (uint)_decoder.Config.Vocabulary,
        Context = (uint)_decoder.Config.Context,
        Parameters = (ulong)_decoder.Weights.Parameters,
        ComputeDtype = dtype.Activations == ScalarType.Float32 ? Dtype.Float32 : Dtype.Bfloat16,
        WeightDtype = dtype.Contract,
        DtypeReason = dtype.Reason,
        Device = device.Device.ToString(),
        DeviceReason = device.Reason,
        TokenizerDigest = Tokenizer.Digest,
        ReadsChats = Chat.Templates.Count > 0,
    };

    private static string DigestOf(string folder, Tokenizer tokenizer, LoadLimits? limits)
    {
        using var files = CheckpointFiles.Open(folder);
        files.Cancellation = limits?.Cancellation ?? default;
        using var digest = new ContentDigest();
        var config = File.ReadAllBytes(Path.Combine(folder, "config.json"));
        return digest.Add("model").Add(tokenizer.Digest).Add(config.Length).AddBytes(config).Add(files.Digest()).Finish();
    }
}
