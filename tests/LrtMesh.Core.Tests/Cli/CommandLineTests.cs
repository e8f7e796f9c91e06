using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using LrtMesh.Cli;
using LrtMesh.Cli.Commands;
using LrtMesh.Cli.Evaluation;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData("learn --name n --layer 1", "--pairs FILE or --behaviour NAME")]
    [InlineData("learn --name n --layer 1,x --behaviour b", "'x': layers are numbers")]
    [InlineData("learn --name n --layer 1,1 --behaviour b", "each once")]
    [InlineData("learn --layer 1 --behaviour b", "--name")]
    [InlineData("learn --name n --layers 1 --behaviour b --method median", "median")]
    [InlineData("learn --name n --layers 1 --behaviour b --method pca --lambda 0.1", "--lambda belongs to --method probe")]
    [InlineData("train-map --name m --source tiny --target tiny-large:1", "expected MODEL:LAYER")]
    [InlineData("train-map --name m --source a:1 --target b:1 --file f --family-text behaviour-free", "--file FILE, --family-text or --texts")]
    [InlineData("train-map --name m --source a:1 --target b:1 --also n=a:1", "expected MAP=MODEL:LAYER,MODEL:LAYER")]
    [InlineData("sweep --source a:1,1 --target b", "each once")]
    [InlineData("basis fit --name n --rank 8 --model a", "expected MODEL:LAYER")]
    [InlineData("models load other --role generation", "'other': expected NAME=FOLDER")]
    [InlineData("models load a=b", "--role")]
    [InlineData("models unload a --role mapping", "mapping")]
    [InlineData("extract --layers 1 --out f", "--text TEXT or --file FILE")]
    [InlineData("extract --layers 1 --out f --text t --dtype int8", "int8")]
    [InlineData("extract --layers 1 --out f --text t --index 1,x", "--index '1,x'")]
    [InlineData("extract --layers 1 --out f --text t --range 4", "--range '4'")]
    [InlineData("extract --layers 1 --out f --text t --range 4.. --index -1", "give one")]
    [InlineData("extract --layers 1 --out f --text t --tokens last --range 4..", "give one")]
    [InlineData("extract --layers 1 --out f --text t --reduce char-spans", "--span belongs to --text")]
    [InlineData("extract --layers 1 --out f --text t --span 0..2", "--span belongs to --text")]
    [InlineData("extract --layers 1 --out f --text t --reduce token-spans --span 0..", "--span '0..'")]
    [InlineData("extract --layers 1 --out f --text t --reduce median", "median")]
    [InlineData("generate hello --vector v", "--vector and --coefficient belong together")]
    [InlineData("generate hello --coefficient 2", "--vector and --coefficient belong together")]
    [InlineData("generate hello --steer v", "expected VECTOR:COEFFICIENT")]
    [InlineData("generate hello --clamp v", "expected VECTOR:COEFFICIENT")]
    [InlineData("generate hello --vector v --coefficient 1 --range 4-5", "expected A..B")]
    [InlineData("generate hello --vector v --coefficient 1 --schedule 4", "expected TOKEN:FACTOR")]
    [InlineData("generate hello --vector v --coefficient 1 --if p", "expected VECTOR:THRESHOLD")]
    [InlineData("generate hello --vector v --coefficient 1 --positions some", "some")]
    [InlineData("generate hello --logit-bias a:1", "expected ID:BIAS")]
    [InlineData("generate hello --samples 0", "--samples must be at least 1")]
    [InlineData("generate", "PROMPT")]
    [InlineData("models --mesh mesh.json --redis localhost:6379", "the mesh of --mesh has its store already")]
    [InlineData("demo --prompts 0", "at least 1")]
    [InlineData("export --out f", "either --map MAP, --vector VECTOR or --all FOLDER")]
    [InlineData("export --map m --all f", "either --map MAP, --vector VECTOR or --all FOLDER")]
    [InlineData("export --map m", "--out FILE")]
    [InlineData("export --all f --out g", "--out belongs to --map")]
    [InlineData("export --vector v w --vector-version 2 --out f", "--vector-version to --vector with one name")]
    [InlineData("export --vector v --map-version 2 --out f", "--map-version belongs to --map")]
    [InlineData("export --all f --map-version 2", "--map-version belongs to --map")]
    [InlineData("generate hello --vector-version 2", "--vector-version belongs to --vector")]
    [InlineData("generate hello --vector v --coefficient 1 --map-version 2", "--map-version belongs to --map")]
    [InlineData("versions", "either --map MAP or --vector VECTOR")]
    [InlineData("versions --map m --vector v", "either --map MAP or --vector VECTOR")]
    [InlineData("import", "either FILE or --all FOLDER")]
    [InlineData("import f --all g", "either FILE or --all FOLDER")]
    [InlineData("import f --replace", "--replace belongs to --all")]
    [InlineData("import --all f --name n", "a backup knows both")]
    [InlineData("sing", "sing")]
    public void Wrong_usage_is_said_before_anything_starts(string line, string says)
    {
        var errors = LrtMesh.Cli.Program.Root().Parse(line).Errors;
        Assert.Contains(says, string.Join('\n', errors.Select(error => error.Message)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("demo --seed 3 --prompts 20 --json -")]
    [InlineData("learn --name n --model tiny-small --layer 1,2 --pairs p.jsonl --position mean")]
    [InlineData("learn --name n --layers 1,2,3 --method probe --lambda 1e-3 --behaviour b")]
    [InlineData("train-map --name m --source tiny-small:1 --target tiny-large:3 --lambda 1e-3 --folds 4 --shuffled-control --family-text behaviour-free")]
    [InlineData("train-map --name m --source a:1 --target b:3 --also n=a:0,b:2 --solver reduced-rank --kept-variance 0.9 --standardize --map-back --stitched-loss --texts corpus --text-field body --keep-moments")]
    [InlineData("train-map --name m --source a:1 --target b:3 --moments-of one two")]
    [InlineData("sweep --source a:0,2 --target b --png p.png --svg p.svg --max-documents 10")]
    [InlineData("basis fit --name n --rank 8 --model a:1 --model b:2 --lambda 1e-2 --texts corpus.parquet")]
    [InlineData("export --map m --out m.safetensors")]
    [InlineData("import m.safetensors --name n")]
    [InlineData("export --all backup")]
    [InlineData("import --all backup --replace")]
    [InlineData("transfer --vector v --map m --name n --add-bias")]
    [InlineData("generate hello --clamp v:-2 --map m --range 3.. --range 0..2 --preserve-norm --schedule 0:1 --schedule 9:0.5 --if p:-1.5 --at-prompt")]
    [InlineData("generate --vector v@2 --coefficient -6.5 --steer w:2 --steer x:-1e-1 --unit raw --layer 2 --positions from-last-prompt --max-tokens 5 --temperature 0 --top-k 3 --top-p 0.9 --seed 1 --stop . -")]
    [InlineData("extract --layers 0 --text hello --out f.safetensors --dtype bfloat16 --mesh mesh.json")]
    [InlineData("extract --layers 0 --text hello --out f.safetensors --index -1 --index 0,2 --exclude-special --reduce mean --dtype float64 --credit-bytes 65536")]
    [InlineData("extract --layers 0 --text hello --out f.safetensors --range 0..2 --range 4.. --reduce char-spans --span 0..2 --span 2..4 --add-special-tokens --max-tokens 9")]
    [InlineData("extract --layers 0 --file f.jsonl --out f.safetensors --tokens last --reduce token-spans")]
    [InlineData("tokenize hello")]
    public void Right_usage_is_understood(string line) => Assert.Empty(LrtMesh.Cli.Program.Root().Parse(line).Errors);

    [Theory]
    [InlineData("cheerful:6", "cheerful", 6)]
    [InlineData("demo/1/cheerful@4:-0.5", "demo/1/cheerful@4", -0.5)]
    public void Steering_is_a_name_and_a_coefficient(string text, string vector, double coefficient) =>
        Assert.Equal((vector, coefficient), Inputs.ParseSteer(text));

    [Fact]
    public void Every_command_and_option_says_what_it_is_for()
    {
        foreach (var command in LrtMesh.Cli.Program.Root().Subcommands)
        {
            Assert.Contains("Example: lrtmesh " + command.Name, command.Description, StringComparison.Ordinal);
            Assert.All(command.Options, option => Assert.False(string.IsNullOrEmpty(option.Description), option.Name));
        }
    }

    [Fact]
    public void A_failed_call_names_status_fields_and_what_to_do()
    {
        var error = new Google.Rpc.Status
        {
            Code = (int)Code.InvalidArgument,
            Message = "layer out of range",
            Details =
            {
                Any.Pack(new BadRequest { FieldViolations = { new BadRequest.Types.FieldViolation { Field = "spec.layers[0]", Description = "9 is not below 6" } } }),
            },
        }.ToRpcException();
        var lines = GrpcErrors.Describe(error);
        Assert.Equal("INVALID_ARGUMENT: layer out of range", lines[0]);
        Assert.Equal("  spec.layers[0]: 9 is not below 6", lines[1]);
        Assert.Contains("lrtmesh models", lines[2], StringComparison.Ordinal);
    }

    [Fact]
    public void A_busy_mesh_says_when_to_try_again()
    {
        var error = new Google.Rpc.Status { Code = (int)Code.ResourceExhausted, Message = "queue full", Details = { Any.Pack(new RetryInfo { RetryDelay = Duration.FromTimeSpan(TimeSpan.FromSeconds(1.5)) }) } };
        Assert.Contains("in 1.5 s", GrpcErrors.Describe(error.ToRpcException())[^1], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 6, 4, 0)]
    [InlineData(1, 6, 4, 1)]
    [InlineData(3, 6, 4, 2)]
    [InlineData(5, 6, 4, 3)]
    [InlineData(0, 1, 4, 3)]
    [InlineData(5, 6, 1, 0)]
    public void A_layer_of_the_same_relative_depth_is_found_in_another_model(uint layer, uint layers, uint others, uint expected) =>
        Assert.Equal(expected, Depth.Same(layer, layers, others));

    [Fact]
    public void Among_layers_of_equal_effect_the_one_that_needs_the_smallest_share_of_the_states_length_is_chosen()
    {
        static LearntVector At(double hidden) => new() { MeanHiddenNorm = hidden };
        DoseResponse[] curves = [new([1, 2], [0.2, 0.4]), new([10, 20], [0.5, 0.5]), new([100, 200], [0.5, 0.3])];
        Assert.Equal(1, DevChoice.BestLayer(curves, [At(10), At(100), At(100)])); // half at 5/100 of the states, not 50/100
        Assert.Equal(2, DevChoice.BestLayer(curves, [At(10), At(10), At(1000)]));
    }

    [Fact]
    public void Candidate_layers_exist_even_in_a_model_of_one_layer()
    {
        Assert.Equal([0u], Depth.CandidateLayers(1, [0.2, 1]));
        Assert.All(Depth.CandidateLayers(8, [0.2, 1]), layer => Assert.InRange(layer, 1u, 7u));
    }

    [Fact]
    public void Batches_are_bounded_and_lose_nothing()
    {
        string[] texts = [.. Enumerable.Range(0, 150).Select(i => i == 10 ? new string('x', 2 << 20) : $"text {i}")];
        Span[] spans = [.. Enumerable.Range(0, 4096).Select(i => new Span { Start = uint.MaxValue - 1, End = uint.MaxValue })];
        foreach (var of in new[] { [], spans })
        {
            var batches = ExtractCommand.Batches(texts.Select(text => (text, (IReadOnlyList<Span>)of))).ToArray();
            Assert.Equal(texts, batches.SelectMany(batch => batch.Texts));
            Assert.All(batches, batch => Assert.True(batch.CalculateSize() < 4 << 20 && batch.Texts.Count <= 64));
            Assert.All(batches, batch => Assert.Equal(of.Length > 0 ? batch.Texts.Count : 0, batch.Spans.Count));
        }
    }
}
