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

    private static readonly Option<double?> Temperature = new("--temperature") { Description = "0 takes the likeliest token each time. Default: 1.", HelpName = "T" };

    private static readonly Option<uint> TopK = new("--top-k") { Description = "Choose only among the K likeliest tokens; 0: all.", HelpName = "K" };

    private static readonly Option<double?> TopP = new("--top-p") { Description = "Choose only among the likeliest tokens that sum to P.", HelpName = "P" };

    private static readonly Option<ulong?> Seed = new("--seed") { Description = "The same seed gives the same text.", HelpName = "S" };

    private static readonly Option<string[]> Stop = new("--stop") { Description = "Stop where this text comes up; may be repeated.", HelpName = "TEXT" };

    public static Command Create()
    {
        var command = new Command("generate", """
            Continues a prompt, steered by vectors, and prints the text as it comes. Then, for each vector, what was done:
            layer, positions, and how much the hidden states were changed. Standard output carries the text alone.

            Example: lrtmesh generate --model tiny-large --vector cheerful-large --coefficient 6 "One day"

            A model with a chat template also answers a conversation:

            lrtmesh generate --model MODEL --system "Be brief." --user "Who are you?"
            """)
        { Prompt, ChatFile, SystemText, UserText, ModelName, MaxTokens, Temperature, TopK, TopP, Seed, Stop };
        foreach (var option in SteeringOptions.All)
        {
            command.Add(option);
        }

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
        var text = new StringBuilder();
        GenerationStarted? started = null;
        GenerationFinished? finished = null;
        using var call = mesh.Generation.Generate(request, Mesh.Long(run.Cancellation));
        await foreach (var part in call.ResponseStream.ReadAllAsync(run.Cancellation))
        {
            started ??= part.Started;
            finished ??= part.Finished;
            if (part.Text is { } piece)
            {
                text.Append(piece.Text);
                await output.WriteAsync(piece.Text);
                await output.FlushAsync(run.Cancellation);
            }
        }

        await output.WriteLineAsync();
        if (started is null || finished is null)
        {
            throw new CommandException("The answer ended before it was finished.");
        }

        foreach (var applied in finished.Steering)
        {
            string origin = applied.MapDigest.Length > 0 ? $"by map {Inputs.Short(applied.MapDigest)}" : "not mapped";
            run.Terminal.Note($"steered by {applied.Vector} ({origin}): layer {applied.Layer}, {applied.Positions} positions, mean ‖Δ‖/‖h‖ {applied.MeanRelativeChange:0.000}");
        }

        run.Terminal.Note($"{finished.GeneratedTokens} tokens in {finished.TotalTime?.ToTimeSpan().TotalSeconds ?? 0:0.00} s, seed {started.Seed}, {finished.Reason}");
        await run.WriteJsonAsync(new
        {
            request.Model,
            started.ModelDigest,
            Prompt = request.Chat is null ? request.Prompt : null,
            Text = text.ToString(),
            started.Seed,
            FinishReason = $"{finished.Reason}",
            finished.PromptTokens,
            finished.GeneratedTokens,
            Steering = finished.Steering.Select(applied => new { applied.Vector, applied.VectorDigest, applied.MapDigest, applied.Layer, applied.Positions, applied.MeanRelativeChange }),
        });
    }

    private static async Task<GenerateRequest> RequestAsync(CommandRun run)
    {
        var request = new GenerateRequest
        {
            Model = run.Get(ModelName),
            Sampling = new Sampling { TopK = run.Get(TopK) },
            Stopping = new Stopping { MaxTokens = run.Get(MaxTokens), Stop = { run.Parse.GetValue(Stop) ?? [] } },
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

        if (run.Parse.GetValue(Temperature) is { } temperature)
        {
            request.Sampling.Temperature = temperature;
        }

        if (run.Parse.GetValue(TopP) is { } topP)
        {
            request.Sampling.TopP = topP;
        }

        if (run.Parse.GetValue(Seed) is { } seed)
        {
            request.Sampling.Seed = seed;
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
