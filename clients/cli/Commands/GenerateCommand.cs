using System.CommandLine;
using System.Text;
using Grpc.Core;
using LrtMesh.V1;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh generate</c>: text from a model, steered, as it comes.</summary>
internal static class GenerateCommand
{
    private static readonly Argument<string?> Prompt = new("PROMPT")
    {
        Description = "The text to continue; - reads it from standard input. Or a conversation instead: --user or --chat.",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Option<string?> ChatFile = new("--chat")
    {
        Description = "A conversation for the model's chat template, as JSON: a list of {role, content}, or {\"messages\": [...], \"tools\": [...], ...}. - reads standard input.",
        HelpName = "FILE",
    };

    private static readonly Option<string?> SystemText = new("--system") { Description = "With --user: what the model is told first.", HelpName = "TEXT" };

    private static readonly Option<string?> UserText = new("--user") { Description = "What a user says, for the model's chat template.", HelpName = "TEXT" };

    private static readonly Option<string> ModelName = new("--model") { Description = "Name of the model.", HelpName = "MODEL", DefaultValueFactory = _ => Inputs.LargeModel };

    private static readonly Option<uint> MaxTokens = new("--max-tokens") { Description = "Tokens to generate at most.", HelpName = "N", DefaultValueFactory = _ => 64 };

    private static readonly Option<string[]> Stop = new("--stop") { Description = "Stop where this text comes up; may be repeated.", HelpName = "TEXT" };

    private static readonly Option<bool> IgnoreEnd = new("--ignore-eos") { Description = "Go on after the model's end-of-sequence token." };

    public static Command Create()
    {
        var command = new Command("generate", """
            Continues a prompt, steered by vectors, and prints the text as it comes. Then, for each vector, what was done:
            layer, positions, and how much the hidden states were changed. Standard output carries the text alone.

            Example: lrtmesh generate --model tiny-large --vector cheerful-large --coefficient 6 "One day"

            A model with a chat template also answers a conversation:

            lrtmesh generate --model MODEL --system "Be brief." --user "Who are you?"
            """)
        { Prompt, ChatFile, SystemText, UserText, ModelName, MaxTokens, Stop, IgnoreEnd };
        foreach (var option in SamplingOptions.All.Concat(SteeringOptions.All))
        {
            command.Add(option);
        }

        command.Validators.Add(SamplingOptions.Validate);
        command.Validators.Add(SteeringOptions.Validate);
        command.Validators.Add(result =>
        {
            int inputs = new[] { result.GetValue(Prompt), result.GetValue(ChatFile), result.GetValue(UserText) }.Count(input => input is not null);
            if (inputs != 1 || (result.GetValue(SystemText) is not null && result.GetValue(UserText) is null))
            {
                result.AddError("Give one thing to go on from: PROMPT, or --user TEXT (with --system TEXT if you like), or --chat FILE.");
            }
        });
        CommandRun.Set(command, RunAsync, textOnOutput: true);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        var request = await RequestAsync(run);
        await using var mesh = await run.OpenMeshAsync();
        // With --json - standard output is for JSON, and the text is for people.
        var output = run.JsonOnOutput ? Console.Error : Console.Out;
        int samples = (int)request.Sampling.Samples;
        var answers = Enumerable.Range(0, samples).Select(_ => new Answer()).ToArray();
        GenerationStarted? started = null;
        using var call = mesh.Generation.Generate(request, Mesh.Long(run.Cancellation));
        await foreach (var part in call.ResponseStream.ReadAllAsync(run.Cancellation))
        {
            started ??= part.Started;
            if (part.Text is { } piece)
            {
                answers[piece.Sample].Take(piece);
                if (samples == 1)
                {
                    await output.WriteAsync(piece.Text);
                    await output.FlushAsync(run.Cancellation);
                }
            }
            else if (part.Finished is { } end)
            {
                answers[end.Sample].Finished = end;
                // Several answers come as they are made, mixed; each is shown when it is whole.
                await output.WriteLineAsync(samples == 1 ? "" : $"--- answer {end.Sample}, seed {started!.Seed + end.Sample}\n{answers[end.Sample].Text}");
            }
        }

        if (started is null || answers.Any(answer => answer.Finished is null))
        {
            throw new CommandException("The answer ended before it was finished.");
        }

        foreach (var applied in answers[0].Finished!.Steering)
        {
            string origin = applied.MapDigest.Length > 0 ? $"version {applied.VectorVersion}, by map {Inputs.Short(applied.MapDigest)}" : $"version {applied.VectorVersion}, not mapped";
            run.Terminal.Note($"steered by {applied.Vector} ({origin}): layer {applied.Layer}, {applied.Positions} positions, mean ‖Δ‖/‖h‖ {applied.MeanRelativeChange:0.000}");
        }

        run.Terminal.Note(
            $"{answers.Sum(answer => answer.Finished!.GeneratedTokens)} tokens in {answers.Max(answer => answer.Finished!.TotalTime?.ToTimeSpan().TotalSeconds ?? 0):0.00} s, seed {started.Seed}, {string.Join(", ", answers.Select(answer => answer.Finished!.Reason).Distinct())}");
        await run.WriteJsonAsync(new
        {
            request.Model,
            started.ModelDigest,
            Prompt = request.Chat is null ? request.Prompt : null,
            started.Seed,
            started.PromptTokens,
            Answers = answers.Select((answer, sample) => answer.Facts(started.Seed + (ulong)sample)),
        });
    }

    /// <summary>One answer as it comes.</summary>
    private sealed class Answer
    {
        private readonly StringBuilder _text = new();
        private readonly List<uint> _ids = [];
        private readonly List<TokenLogprobs> _logprobs = [];

        public string Text => _text.ToString();

        /// <summary>How it ended; null: it has not.</summary>
        public GenerationFinished? Finished { get; set; }

        public void Take(GeneratedText piece)
        {
            _text.Append(piece.Text);
            _ids.AddRange(piece.TokenIds);
            _logprobs.AddRange(piece.Logprobs);
        }

        /// <summary>It as --json has it.</summary>
        public object Facts(ulong seed) => new
        {
            Text,
            Seed = seed,
            FinishReason = $"{Finished!.Reason}",
            Finished.GeneratedTokens,
            TokenIds = _ids,
            Logprobs = _logprobs.Count == 0 ? null : _logprobs.Select(token => new { token.Logprob, Top = token.Top.Select(likely => new { likely.TokenId, likely.Logprob }) }),
            Steering = Finished.Steering.Select(applied => new { applied.Vector, applied.VectorVersion, applied.VectorDigest, applied.MapVersion, applied.MapDigest, applied.Layer, applied.Positions, applied.MeanRelativeChange }),
        };
    }

    private static async Task<GenerateRequest> RequestAsync(CommandRun run)
    {
        var request = new GenerateRequest
        {
            Model = run.Get(ModelName),
            Sampling = SamplingOptions.Of(run),
            Stopping = new Stopping { MaxTokens = run.Get(MaxTokens), IgnoreEos = run.Parse.GetValue(IgnoreEnd), Stop = { run.Parse.GetValue(Stop) ?? [] } },
        };
        if (run.Parse.GetValue(ChatFile) is { } file)
        {
            request.Chat = file == "-" ? Chats.Parse(await Console.In.ReadToEndAsync(run.Cancellation), "standard input") : Chats.Read(file);
        }
        else if (run.Parse.GetValue(UserText) is { } user)
        {
            request.Chat = Chats.Of(run.Parse.GetValue(SystemText), user);
        }
        else
        {
            request.Prompt = await PromptAsync(run);
        }

        request.Steering.AddRange(SteeringOptions.Of(run));
        return request;
    }

    private static async Task<string> PromptAsync(CommandRun run)
    {
        string prompt = run.Parse.GetValue(Prompt)!;
        // The line's end that echo and an editor add is not part of the prompt.
        return prompt == "-" ? (await Console.In.ReadToEndAsync(run.Cancellation)).TrimEnd('\n', '\r') : prompt;
    }
}
