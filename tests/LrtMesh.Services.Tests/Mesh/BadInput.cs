using Google.Protobuf;
using LrtMesh.Core.Tensors;
using LrtMesh.TestKit;
using LrtMesh.V1;
using static Grpc.Core.StatusCode;
using StatusCode = Grpc.Core.StatusCode;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>A request that must be refused.</summary>
/// <param name="Call">Makes it.</param>
/// <param name="Code">Its status.</param>
/// <param name="Field">A field that the answer names.</param>
/// <param name="Says">Part of the message: what would be right.</param>
internal sealed record BadRequestCase(Func<MeshFixture, CancellationToken, Task> Call, StatusCode Code, string Field, string Says);

/// <summary>Everything that must be refused, by name.</summary>
internal static class BadInput
{
    private static readonly Tensor Sixteen = MeshCalls.Elements([.. Enumerable.Range(1, 16).Select(i => (float)i)]);

    public static readonly IReadOnlyDictionary<string, BadRequestCase> Cases = new Dictionary<string, BadRequestCase>
    {
        // ModelService
        ["no model named"] = new((m, ct) => m.Models.GetModelAsync(new(), cancellationToken: ct).ResponseAsync, InvalidArgument, "name", "source, stranger"),
        ["unknown model"] = new((m, ct) => m.Models.GetModelAsync(new() { Name = "gpt" }, cancellationToken: ct).ResponseAsync, NotFound, "name", "source, stranger"),
        ["nothing to tokenize"] = new((m, ct) => m.Models.TokenizeAsync(new() { Model = "source" }, cancellationToken: ct).ResponseAsync, InvalidArgument, "input", "text or token_ids"),
        ["token id beyond the vocabulary"] = new(
            (m, ct) => m.Models.TokenizeAsync(new() { Model = "source", TokenIds = new TokenIds { Ids = { 1, 320 } } }, cancellationToken: ct).ResponseAsync, InvalidArgument, "token_ids.ids[1]", "below 320"),
        ["load: no name"] = Load(request => request.Name = "", InvalidArgument, "name", "1 to 128"),
        ["load: a name with a space"] = Load(request => request.Name = "a b", InvalidArgument, "name", "1 to 128"),
        ["load: a name that is taken"] = Load(request => request.Name = "source", FailedPrecondition, "name", "'source' is loaded here"),
        ["load: unknown dtype"] = Load(request => request.Dtype = (WeightDtype)99, InvalidArgument, "dtype", "99"),
        ["load: unknown device"] = Load(request => request.Device = "tpu", InvalidArgument, "device", "cuda:N"),
        ["load: no checkpoint"] = Load(request => request.Checkpoint = "", InvalidArgument, "checkpoint", "below the role's model root"),
        ["load: all of the root"] = Load(request => request.Checkpoint = ".", InvalidArgument, "checkpoint", "below the role's model root"),
        ["load: a path that leaves the root"] = Load(request => request.Checkpoint = "../source", InvalidArgument, "checkpoint", "below the role's model root"),
        ["load: a path that leaves the root and comes back"] = Load(request => request.Checkpoint = "../loadable/spare", InvalidArgument, "checkpoint", "below the role's model root"),
        ["load: an absolute path elsewhere"] = Load(request => request.Checkpoint = "/etc", InvalidArgument, "checkpoint", "below the role's model root"),
        ["load: no such checkpoint"] = Load(request => request.Checkpoint = "org/none-such", NotFound, "checkpoint", "'org/none-such'"),
        ["unload: no model named"] = new((m, ct) => m.Models.UnloadModelAsync(new(), cancellationToken: ct).ResponseAsync, InvalidArgument, "name", "source, stranger"),
        ["unload: unknown model"] = new((m, ct) => m.Models.UnloadModelAsync(new() { Name = "gpt" }, cancellationToken: ct).ResponseAsync, NotFound, "name", "source, stranger"),

        // ExtractionService
        ["a batch before the spec"] = new(ExtractBatchFirst, InvalidArgument, "spec", "first message"),
        ["extract: unknown model"] = Extract(spec => spec.Model = "gpt", NotFound, "spec.model", "source, stranger"),
        ["extract: no layer"] = Extract(spec => spec.Layers.Clear(), InvalidArgument, "spec.layers", "at least one"),
        ["extract: layer out of range"] = Extract(spec => spec.Layers.Add(3), OutOfRange, "spec.layers[1]", "0 to 2"),
        ["extract: layer twice"] = Extract(spec => spec.Layers.Add(1), InvalidArgument, "spec.layers", "once"),
        ["extract: unknown dtype"] = Extract(spec => spec.Dtype = (Dtype)99, InvalidArgument, "spec.dtype", "99"),
        ["extract: max_tokens beyond the context"] = Extract(spec => spec.MaxTokens = 97, OutOfRange, "spec.max_tokens", "96"),
        ["extract: empty text"] = Extract(_ => { }, InvalidArgument, "batch.texts[1]", "not be empty", "The cat", ""),
        ["extract: no texts"] = Extract(_ => { }, InvalidArgument, "batch.texts", "1 to 256"),
        ["extract: too many texts"] = Extract(_ => { }, InvalidArgument, "batch.texts", "1 to 256", [.. Enumerable.Repeat("x", 257)]),

        ["extract: unknown rule"] = Extract(spec => spec.Tokens = new() { Rule = (TokenRule)9 }, InvalidArgument, "spec.tokens.rule", "9"),
        ["extract: unknown reduction"] = Extract(spec => spec.Reduction = (Reduction)9, InvalidArgument, "spec.reduction", "9"),
        ["extract: no indices"] = Extract(spec => spec.Tokens = new() { Rule = TokenRule.Indices }, InvalidArgument, "spec.tokens.indices", "1 to 4096"),
        ["extract: indices without their rule"] = Extract(spec => spec.Tokens = new() { Indices = { 1 } }, InvalidArgument, "spec.tokens.indices", "rule"),
        ["extract: no ranges"] = Extract(spec => spec.Tokens = new() { Rule = TokenRule.Ranges }, InvalidArgument, "spec.tokens.ranges", "1 to 4096"),
        ["extract: empty range"] = Extract(
            spec => spec.Tokens = new() { Rule = TokenRule.Ranges, Ranges = { new TokenRange { Start = 2, End = 2 } } }, InvalidArgument, "spec.tokens.ranges[0].end", "above start"),
        ["extract: index beyond a text"] = Extract(spec => spec.Tokens = new() { Rule = TokenRule.Indices, Indices = { 40 } }, OutOfRange, "batch.texts[1]", "40", Long, "The cat"),
        ["extract: index before a text"] = Extract(spec => spec.Tokens = new() { Rule = TokenRule.Indices, Indices = { -40 } }, OutOfRange, "batch.texts[1]", "-40", Long, "The cat"),
        ["extract: range beyond a text"] = Extract(
            spec => spec.Tokens = new() { Rule = TokenRule.Ranges, Ranges = { new TokenRange { Start = 40 } } }, OutOfRange, "batch.texts[1]", "none of them counts", Long, "The cat"),
        ["extract: spans without a reduction"] = ExtractSpans(Reduction.Mean, InvalidArgument, "batch.spans", "must be empty", (0, 3)),
        ["extract: no spans"] = Extract(spec => spec.Reduction = Reduction.MeanOfCharSpans, InvalidArgument, "batch.spans", "must have 1 entries", "The cat"),
        ["extract: a text without spans"] = ExtractSpans(Reduction.MeanOfTokenSpans, InvalidArgument, "batch.spans[0].spans", "1 to 4096"),
        ["extract: empty span"] = ExtractSpans(Reduction.MeanOfCharSpans, InvalidArgument, "batch.spans[0].spans[1].end", "above start", (0, 3), (4, 4)),
        ["extract: span beyond a text"] = ExtractSpans(Reduction.MeanOfCharSpans, OutOfRange, "batch.spans[0].spans[1]", "holds none", (0, 3), (7, 9)),
        ["extract: token span beyond a text"] = ExtractSpans(Reduction.MeanOfTokenSpans, OutOfRange, "batch.spans[0].spans[0]", "holds none", (90, 99)),
        ["extract: credit that was not begun"] = new((m, ct) => ExtractCredit(m, 0, new Credit { Bytes = 1 }, ct), InvalidArgument, "credit", "spec.credit_bytes is 0"),
        ["extract: credit of nothing"] = new((m, ct) => ExtractCredit(m, 1, new Credit(), ct), InvalidArgument, "credit.bytes", "at least 1"),
        ["extract: closed before all credit is granted"] = new((m, ct) => ExtractCredit(m, 1, new Credit { Bytes = 1 }, ct), InvalidArgument, "credit", "closed its side"),
        ["extract: spec twice"] = new(ExtractSpecTwice, InvalidArgument, "batch", "after the first"),

        // LearnVector
        ["learn: unknown model"] = Learn(request => request.Model = "gpt", NotFound, "model", "source, stranger"),
        ["learn: no name"] = Learn(request => request.Name = "", InvalidArgument, "name", "1 to 128"),
        ["learn: bad name"] = Learn(request => request.Name = "a{b}", InvalidArgument, "name", "a-z"),
        ["learn: layer out of range"] = Learn(request => request.Layers[0] = 7, OutOfRange, "layers[0]", "0 to 2"),
        ["learn: one pair"] = Learn(request => request.Pairs.RemoveAt(1), InvalidArgument, "pairs", "2 to 4096"),
        ["learn: empty text"] = Learn(request => request.Pairs[1].Negative = "", InvalidArgument, "pairs[1].negative", "not be empty"),
        ["learn: text longer than the context"] = Learn(request => request.Pairs[1].Positive = Long, OutOfRange, "pairs[1].positive", "96"),
        ["learn: equal texts"] = Learn(request => { request.Pairs.Clear(); request.Pairs.AddRange([new() { Positive = "a", Negative = "a" }, new() { Positive = "b", Negative = "b" }]); }, InvalidArgument, "pairs", "no direction"),
        ["learn: no layer"] = Learn(request => request.Layers.Clear(), InvalidArgument, "layers", "at least one"),
        ["learn: layer twice"] = Learn(request => request.Layers.Add([0, 1]), InvalidArgument, "layers", "once"),
        ["learn: pca of a text without a partner"] = Learn(
            request => (request.Method, request.Pairs[1].Negative) = (VectorMethod.PcaOfDifferences, ""), InvalidArgument, "pairs[1].negative", "not be empty"),
        ["learn: pca of one pair"] = Learn(
            request => { request.Method = VectorMethod.PcaOfDifferences; request.Pairs.RemoveAt(0); }, InvalidArgument, "pairs", "2 to 4096"),
        ["learn: probe of equal texts"] = Learn(
            request => { request.Method = VectorMethod.LogisticProbe; request.Pairs.Clear(); request.Pairs.AddRange([new() { Positive = "a", Negative = "a" }, new() { Positive = "b", Negative = "b" }]); },
            InvalidArgument, "pairs", "no direction"),
        ["learn: no pair that shares no text"] = Learn(request => request.Pairs[1].Negative = "b", InvalidArgument, "pairs", "no text in common"),
        ["learn: lambda without a probe"] = Learn(request => request.ProbeLambda = 0.1, InvalidArgument, "probe_lambda", "LOGISTIC_PROBE"),
        ["learn: lambda of zero"] = Learn(request => (request.Method, request.ProbeLambda) = (VectorMethod.LogisticProbe, 0), InvalidArgument, "probe_lambda", "1E-06 to 1000"),
        ["learn: lambda not a number"] = Learn(
            request => (request.Method, request.ProbeLambda) = (VectorMethod.LogisticProbe, double.NaN), InvalidArgument, "probe_lambda", "1E-06 to 1000"),
        ["learn: method that is not learnt"] = Learn(request => request.Method = VectorMethod.Mapped, InvalidArgument, "method", "DIFFERENCE_OF_MEANS"),
        ["learn: unknown method"] = Learn(request => request.Method = (VectorMethod)42, InvalidArgument, "method", "42"),
        ["learn: unknown position"] = Learn(request => request.Position = (LearnPosition)42, InvalidArgument, "position", "42"),

        // VectorService
        ["put: nothing"] = new((m, ct) => m.Vectors.PutVectorAsync(new(), cancellationToken: ct).ResponseAsync, InvalidArgument, "elements", "set"),
        ["put: no method"] = Put(request => request.Vector.Provenance = null, InvalidArgument, "vector.provenance.method", "GIVEN"),
        ["put: auc above 1"] = Put(request => request.Vector.Provenance.Auc = 1.5, InvalidArgument, "vector.provenance.auc", "0 to 1"),
        ["put: wrong byte count"] = Put(request => request.Elements = MeshCalls.Truncated(Sixteen), InvalidArgument, "elements.data", "64"),
        ["put: wrong checksum"] = Put(request => { request.Elements = Sixteen.Clone(); request.Elements.Crc32C++; }, InvalidArgument, "elements.crc32c", ""),
        ["put: two dimensions"] = Put(request => request.Elements = TensorCodec.Encode(new float[] { 1, 2 }, 1, 2), InvalidArgument, "elements.header.shape", "[width]"),
        ["put: not finite"] = Put(request => request.Elements = MeshCalls.Elements(1, float.NaN), InvalidArgument, "elements", "finite"),
        ["put: all zero"] = Put(request => request.Elements = MeshCalls.Elements(0, 0), InvalidArgument, "elements", "zero"),
        ["put: width that is not the elements'"] = Put(request => request.Vector.Width = 3, InvalidArgument, "vector.width", "16"),
        ["get: unknown vector"] = new((m, ct) => m.Vectors.GetVectorAsync(new() { Name = "none" }, cancellationToken: ct).ResponseAsync, NotFound, "name", "none"),
        ["get: version of an unknown vector"] = new((m, ct) => m.Vectors.GetVectorAsync(new() { Name = "none", Version = 1 }, cancellationToken: ct).ResponseAsync, NotFound, "name", "none"),
        ["get: unknown version"] = new((m, ct) => m.Vectors.GetVectorAsync(new() { Name = "bad/of-source", Version = 99 }, cancellationToken: ct).ResponseAsync, NotFound, "version", "no version 99"),
        ["vectors: versions of one and a prefix"] = new((m, ct) => m.Vectors.ListVectorsAsync(new() { VersionsOf = "bad/of-source", Prefix = "b" }, cancellationToken: ct).ResponseAsync, InvalidArgument, "versions_of", "one page"),
        ["maps: versions of an unknown one"] = new((m, ct) => m.Mapping.ListMapsAsync(new() { VersionsOf = "none" }, cancellationToken: ct).ResponseAsync, NotFound, "versions_of", "none"),
        ["bases: versions of a name that cannot be"] = new((m, ct) => m.Mapping.ListBasesAsync(new() { VersionsOf = "no name" }, cancellationToken: ct).ResponseAsync, InvalidArgument, "versions_of", "1 to 128"),
        ["delete: unknown vector"] = new((m, ct) => m.Vectors.DeleteVectorAsync(new() { Name = "none" }, cancellationToken: ct).ResponseAsync, NotFound, "name", "none"),

        // GenerationService
        ["generate: unknown model"] = Generate(request => request.Model = "source", NotFound, "model", "target"),
        ["generate: no input"] = Generate(request => request.ClearInput(), InvalidArgument, "input", "prompt, prompt_ids or chat"),
        ["generate: chat without messages"] = Generate(request => request.Chat = new Chat(), InvalidArgument, "chat.messages", "at least one"),
        ["generate: chat that the template refuses"] = Generate(
            request => request.Chat = new Chat { Messages = { new ChatMessage { Role = "alien", Content = "x" } } }, InvalidArgument, "chat", "Only user and assistant may speak, not alien"),
        ["generate: ablation by half"] = Steer(
            steering => (steering.Operator, steering.Coefficient) = (SteeringOperator.Ablate, 0.5), InvalidArgument, "steering[0].coefficient", "must be 1"),
        ["generate: empty prompt"] = Generate(request => request.Prompt = "", InvalidArgument, "prompt", "not be empty"),
        ["generate: no ids"] = Generate(request => request.PromptIds = new TokenIds(), InvalidArgument, "prompt_ids.ids", "at least one"),
        ["generate: id beyond the vocabulary"] = Generate(request => request.PromptIds = new TokenIds { Ids = { 320 } }, InvalidArgument, "prompt_ids.ids[0]", "below 320"),
        ["generate: prompt longer than the context"] = Generate(request => request.Prompt = Long, OutOfRange, "prompt", "96"),
        ["generate: prompt and answer longer than the context"] = Generate(request => request.Stopping.MaxTokens = 95, OutOfRange, "stopping.max_tokens", "96"),
        ["generate: temperature"] = Generate(request => request.Sampling.Temperature = -1, InvalidArgument, "sampling.temperature", "0 (greedy) to 10"),
        ["generate: temperature not a number"] = Generate(request => request.Sampling.Temperature = double.NaN, InvalidArgument, "sampling.temperature", "0 (greedy) to 10"),
        ["generate: top_p"] = Generate(request => request.Sampling.TopP = 0, InvalidArgument, "sampling.top_p", "above 0"),
        ["generate: min_p"] = Generate(request => request.Sampling.MinP = 1.5, InvalidArgument, "sampling.min_p", "0 (all) to 1"),
        ["generate: repetition penalty"] = Generate(request => request.Sampling.RepetitionPenalty = 0, InvalidArgument, "sampling.repetition_penalty", "above 0"),
        ["generate: presence penalty"] = Generate(request => request.Sampling.PresencePenalty = 3, InvalidArgument, "sampling.presence_penalty", "-2 to 2"),
        ["generate: frequency penalty"] = Generate(request => request.Sampling.FrequencyPenalty = double.NaN, InvalidArgument, "sampling.frequency_penalty", "-2 to 2"),
        ["generate: bias beyond the vocabulary"] = Generate(
            request => request.Sampling.LogitBias.Add(new LogitBias { TokenId = 320 }), InvalidArgument, "sampling.logit_bias[0].token_id", "below 320"),
        ["generate: bias not a number"] = Generate(
            request => request.Sampling.LogitBias.Add(new LogitBias { Bias = double.NaN }), InvalidArgument, "sampling.logit_bias[0].bias", "finite"),
        ["generate: bias twice"] = Generate(
            request => request.Sampling.LogitBias.Add([new LogitBias { TokenId = 3 }, new LogitBias { TokenId = 3 }]), InvalidArgument, "sampling.logit_bias[1].token_id", "once"),
        ["generate: too many samples"] = Generate(request => request.Sampling.Samples = 17, InvalidArgument, "sampling.samples", "at most 16"),
        ["generate: too many logprobs"] = Generate(request => request.Sampling.Logprobs = 21, InvalidArgument, "sampling.logprobs", "at most 20"),
        ["generate: stop token beyond the vocabulary"] = Generate(
            request => request.Stopping.StopTokenIds.Add(320), InvalidArgument, "stopping.stop_token_ids[0]", "below 320"),
        ["score: no continuations"] = Score(request => request.Continuations.Clear(), InvalidArgument, "continuations", "1 to 256"),
        ["score: empty continuation"] = Score(request => request.Continuations[0].Text = "", InvalidArgument, "continuations[0].text", "at least one token"),
        ["score: nothing said"] = Score(request => request.Continuations[0].ClearInput(), InvalidArgument, "continuations[0]", "text or ids"),
        ["score: longer than the context"] = Score(request => request.Continuations[0].Text = Long, OutOfRange, "continuations[0]", "96"),
        ["score: no prompt"] = Score(request => request.ClearInput(), InvalidArgument, "input", "prompt, prompt_ids or chat"),
        ["score: unknown vector"] = Score(request => request.Steering.Add(new Steering { Vector = "none" }), NotFound, "steering[0].vector", "none"),
        ["converse: change first"] = new(ConverseChangeFirst, InvalidArgument, "start", "first message"),
        ["generate: empty stop string"] = Generate(request => request.Stopping.Stop.Add(["a", ""]), InvalidArgument, "stopping.stop[1]", "not be empty"),
        ["generate: too many stop strings"] = Generate(request => request.Stopping.Stop.Add(Enumerable.Repeat("a", 17)), InvalidArgument, "stopping.stop", "at most 16"),
        ["generate: unknown vector"] = Steer(steering => steering.Vector = "none", NotFound, "steering[0].vector", "none"),
        ["generate: no vector"] = Steer(steering => steering.Vector = "", InvalidArgument, "steering[0].vector", "name a stored vector"),
        ["generate: coefficient NaN"] = Steer(steering => steering.Coefficient = double.NaN, InvalidArgument, "steering[0].coefficient", "finite"),
        ["generate: coefficient infinite"] = Steer(steering => steering.Coefficient = double.PositiveInfinity, InvalidArgument, "steering[0].coefficient", "finite"),
        ["generate: unknown operator"] = Steer(steering => steering.Operator = (SteeringOperator)9, InvalidArgument, "steering[0].operator", "9"),
        ["generate: unknown unit"] = Steer(steering => steering.Unit = (CoefficientUnit)9, InvalidArgument, "steering[0].unit", "9"),
        ["generate: unknown positions"] = Steer(steering => steering.Positions = (PositionRule)9, InvalidArgument, "steering[0].positions", "9"),
        ["generate: steered layer out of range"] = Steer(steering => steering.Layer = 4, InvalidArgument, "steering[0].layer", "0 to 3"),
        ["generate: unknown map"] = Steer(steering => steering.Map = "none", NotFound, "steering[0].map", "none"),
        ["generate: map from another layer"] = Steer(steering => (steering.Vector, steering.Map) = ("bad/of-layer-2", "bad/map"), FailedPrecondition, "steering[0].vector", "maps from layer 1"),
        ["generate: given vector too wide"] = Given(steering => steering.Given = Sixteen, InvalidArgument, "steering[0].given.header.shape", "[24]"),
        ["generate: given vector of zeros"] = Given(steering => steering.Given = MeshCalls.Elements(new float[24]), InvalidArgument, "steering[0].given", "not all zero"),
        ["generate: given vector without a layer"] = Given(steering => steering.ClearLayer(), InvalidArgument, "steering[0].layer", "must be set"),
        ["generate: given vector with a name"] = Given(steering => steering.Vector = "bad/of-another", InvalidArgument, "steering[0].given", "must not come with"),
        ["generate: given vector with a version"] = Given(steering => steering.VectorVersion = 1, InvalidArgument, "steering[0].vector_version", "must be 0"),
        ["generate: version of no map"] = Steer(steering => steering.MapVersion = 1, InvalidArgument, "steering[0].map_version", "must be 0"),
        ["generate: unknown version"] = Steer(steering => steering.VectorVersion = 99, NotFound, "steering[0].vector_version", "no version 99"),
        ["generate: no ranges"] = Given(steering => steering.Positions = PositionRule.Ranges, InvalidArgument, "steering[0].ranges", "1 to 64"),
        ["generate: ranges with another rule"] = Given(steering => steering.Ranges.Add(new PositionRange()), InvalidArgument, "steering[0].ranges", "none with another rule"),
        ["generate: empty range"] = Given(steering => Range(steering, 2, 2), InvalidArgument, "steering[0].ranges[0].end", "the range is empty"),
        ["generate: range after the answer"] = Given(steering => Range(steering, 90, 92), InvalidArgument, "steering[0].ranges[0].start", "no token would be steered"),
        ["generate: schedule of an ablation"] = Given(
            steering => steering.Schedule.Add(new SchedulePoint()), InvalidArgument, "steering[0].schedule", "empty to ablate", SteeringOperator.Ablate),
        ["generate: schedule of the prompt"] = Given(
            steering =>
            {
                steering.Positions = PositionRule.Prompt;
                steering.Schedule.Add(new SchedulePoint());
            },
            InvalidArgument, "steering[0].schedule", "no generated token"),
        ["generate: schedule that goes back"] = Given(
            steering => steering.Schedule.Add([new SchedulePoint { Token = 3 }, new SchedulePoint { Token = 3 }]), InvalidArgument, "steering[0].schedule[1].token", "above that of the point before"),
        ["generate: schedule not a number"] = Given(steering => steering.Schedule.Add(new SchedulePoint { Factor = double.NaN }), InvalidArgument, "steering[0].schedule[0].factor", "finite"),
        ["generate: condition without a probe"] = Given(steering => steering.Condition = new(), InvalidArgument, "steering[0].condition.probe", "name a stored vector"),
        ["generate: condition of another model"] = Given(steering => steering.Condition = new() { Probe = "bad/of-source" }, FailedPrecondition, "steering[0].condition.probe", "16 wide"),
        ["generate: condition after the layer steered"] = Given(
            steering => steering.Condition = new() { Probe = "bad/of-target", Layer = 3 }, InvalidArgument, "steering[0].condition.layer", "at most 1"),
        ["generate: condition on the prompt for the prompt"] = Given(
            steering => (steering.Positions, steering.Condition) = (PositionRule.Prompt, new() { Probe = "bad/of-target", Scope = ConditionScope.Prompt }), InvalidArgument, "steering[0].condition.scope", "token"),
        ["generate: contradiction"] = Generate(
            request => request.Steering.Add([ByGiven(SteeringOperator.Ablate), ByGiven(SteeringOperator.Clamp)]), InvalidArgument, "steering[1]", "undoes"),
        ["generate: too many steerings"] = Generate(request => request.Steering.Add(Enumerable.Repeat(ByGiven(SteeringOperator.Add), 65)), InvalidArgument, "steering", "at most 64"),
        ["generate: vector of another model"] = Steer(steering => steering.Vector = "bad/of-source", FailedPrecondition, "steering[0].vector", "16 wide"),
        ["generate: vector of another model, as wide"] = Steer(steering => steering.Vector = "bad/of-another", FailedPrecondition, "steering[0].vector", "belongs to another"),

        // MappingService
        ["job: nothing"] = new((m, ct) => m.Mapping.CreateMapJobAsync(new(), cancellationToken: ct).ResponseAsync, InvalidArgument, "map", "1 to 128"),
        ["job: unknown model"] = Job(request => request.Source.Model = "gpt", NotFound, "source.model", "source, stranger, target"),
        ["job: layer out of range"] = Job(request => request.Target.Layer = 4, OutOfRange, "target.layer", "0 to 3"),
        ["job: too few documents"] = Job(request => request.Documents.RemoveAt(0), InvalidArgument, "documents", "at least 5"),
        ["job: empty document"] = Job(request => request.Documents[2].Text = "", InvalidArgument, "documents[2].text", "not be empty"),
        ["job: folds"] = Job(request => request.Fit = new FitOptions { Folds = 2 }, InvalidArgument, "fit.folds", "3 to 16"),
        ["job: lambda"] = Job(request => request.Fit = new FitOptions { Lambda = double.NaN }, InvalidArgument, "fit.lambda", "finite"),
        ["job: layer of another map"] = Job(request => request.More.Add(Further("bad/more", layer: 9)), OutOfRange, "more[0].source.layer", "0 to 2"),
        ["job: one name for two maps"] = Job(request => request.More.Add(Further("bad/never", layer: 0)), InvalidArgument, "more[0].map", "another name"),
        ["job: one pair for two maps"] = Job(request => request.More.Add(Further("bad/more", layer: 1)), InvalidArgument, "more[0].target", "another pair"),
        ["job: a layer to itself"] = Job(request => request.Target = request.Source, InvalidArgument, "target", "another layer"),
        ["job: unknown solver"] = Job(request => request.Fit = new FitOptions { Solver = (MapSolver)99 }, InvalidArgument, "fit.solver", "99"),
        ["job: lambda for least squares"] = Job(request => request.Fit = new FitOptions { Solver = MapSolver.LeastSquares, Lambda = 1 }, InvalidArgument, "fit.lambda", "ridge and reduced rank"),
        ["job: rank for ridge"] = Job(request => request.Fit = new FitOptions { Rank = 2 }, InvalidArgument, "fit.rank", "REDUCED_RANK"),
        ["job: reduced rank without a rank"] = Job(request => request.Fit = new FitOptions { Solver = MapSolver.ReducedRank }, InvalidArgument, "fit.rank", "kept_variance"),
        ["job: rank beyond the widths"] = Job(request => request.Fit = new FitOptions { Solver = MapSolver.ReducedRank, Rank = 17 }, InvalidArgument, "fit.rank", "1 to 16"),
        ["job: kept variance"] = Job(request => request.Fit = new FitOptions { Solver = MapSolver.ReducedRank, KeptVariance = 1.5 }, InvalidArgument, "fit.kept_variance", "at most 1"),
        ["job: control of a rotation"] = Job(request => request.Fit = new FitOptions { Solver = MapSolver.Procrustes, ShuffledControl = true }, InvalidArgument, "fit.shuffled_control", "ridge"),
        ["job: window"] = Job(request => request.Fit = new FitOptions { Window = 65537 }, InvalidArgument, "fit.window", "at most 65536"),
        ["job: learning rate for ridge"] = Job(request => request.Fit = new FitOptions { LearningRate = 1 }, InvalidArgument, "fit.learning_rate", "AdamW"),
        ["job: AdamW from moments"] = Job(request => (request.KeepMoments, request.Fit) = (true, new FitOptions { Solver = MapSolver.Adamw }), InvalidArgument, "fit.solver", "needs rows"),
        ["job: time limit"] = Job(request => request.TimeLimit = new Google.Protobuf.WellKnownTypes.Duration(), InvalidArgument, "time_limit", "from 1 s"),
        ["job: documents and moments"] = Job(request => request.MomentsOf.Add("x"), InvalidArgument, "documents", "must be empty"),
        ["job: file above the text root"] = Job(request => FromFiles(request, "../data"), InvalidArgument, "texts.path", "below the role's text root"),
        ["job: a file with a zero in its name"] = Job(request => FromFiles(request, "a\0.txt"), InvalidArgument, "texts.path", "below the role's text root"),
        ["job: no such file"] = Job(request => FromFiles(request, "none.jsonl"), NotFound, "texts.path", ".parquet"),
        ["job: documents and files"] = Job(request => request.Texts = new TextSource { Path = "x.txt" }, InvalidArgument, "documents", "must be empty"),
        ["job: a map and a sweep"] = Job(request => request.Sweep = new Sweep(), InvalidArgument, "sweep", "come alone"),
        ["sweep: no layers"] = Alone(request => request.Sweep = new Sweep { SourceModel = "source", TargetModel = "target", SourceLayers = { 1 } }, InvalidArgument, "sweep.target_layers", "at least one"),
        ["sweep: layer out of range"] = Alone(request => request.Sweep = new Sweep { SourceModel = "source", TargetModel = "target", SourceLayers = { 0, 3 }, TargetLayers = { 1 } }, OutOfRange, "sweep.source_layers[1]", "0 to 2"),
        ["basis: one model"] = Alone(request => request.Basis = new BasisRequest { Name = "bad/basis", Rank = 2, Models = { request.Source } }, InvalidArgument, "basis.models", "2 to 16"),
        ["basis: no rank"] = Alone(request => request.Basis = new BasisRequest { Name = "bad/basis", Models = { request.Source, request.Target } }, InvalidArgument, "basis.rank", "at least 1"),
        ["basis: add to nothing"] = Alone(request => request.Basis = new BasisRequest { Name = "bad/none", Add = true, Models = { request.Source } }, NotFound, "basis.name", "bad/none"),
        ["basis: unknown"] = new((m, ct) => m.Mapping.GetBasisAsync(new() { Name = "none" }, cancellationToken: ct).ResponseAsync, NotFound, "name", "none"),
        ["export basis: unknown"] = new(async (m, ct) => await m.Mapping.ExportBasis(new() { Basis = "none" }, cancellationToken: ct).ResponseStream.MoveNext(ct), NotFound, "basis", "none"),
        ["import basis: no content"] = ImportBasis(null, InvalidArgument, "content", "first message"),
        ["import basis: name"] = ImportBasis(content => content.Basis.Name = "a b", InvalidArgument, "content.basis.name", "characters"),
        ["import basis: one model"] = ImportBasis(content => content.Basis.Models.RemoveAt(1), InvalidArgument, "content.basis.models", "at least 2"),
        ["import basis: no layer"] = ImportBasis(content => content.Basis.Models[1].Layer = null, InvalidArgument, "content.basis.models[1].layer.model", "must name"),
        ["import basis: huge width"] = ImportBasis(content => content.Basis.Models[0].Width = uint.MaxValue, InvalidArgument, "content.basis.models[0].width", "at most"),
        ["import basis: rank"] = ImportBasis(content => content.Basis.Rank = 0, InvalidArgument, "content.basis.rank", "at least 1"),
        ["import basis: agreement"] = ImportBasis(content => content.Basis.Agreement.Add(1), InvalidArgument, "content.basis.agreement", "must be 1"),
        ["import basis: tensors"] = ImportBasis(content => content.Tensors.RemoveAt(0), InvalidArgument, "content.tensors", "must be 8"),
        ["import basis: shape"] = ImportBasis(content => content.Tensors[1].Shape[1] = 3, InvalidArgument, "content.tensors[1].shape", "[1, 2]"),
        ["import basis: no chunk"] = ImportBasis(_ => { }, InvalidArgument, "chunk", "every announced byte"),
        ["basis map: unknown basis"] = new((m, ct) => m.Mapping.CreateBasisMapAsync(new() { Basis = "none", Map = "bad/x" }, cancellationToken: ct).ResponseAsync, NotFound, "basis", "none"),

        // RunOn
        ["run on: no spec"] = RunOn(null, new RunOnSequence(), InvalidArgument, "spec", "first message"),
        ["run on: layer out of range"] = RunOn(new RunOnSpec { Model = "source", Layer = 3 }, new RunOnSequence(), OutOfRange, "spec.layer", "0 to 2"),
        ["run on: one token"] = RunOn(SourceLayer1, new RunOnSequence { TokenIds = { 1 } }, InvalidArgument, "sequence.token_ids", "at least 2"),
        ["run on: position twice"] = RunOn(SourceLayer1, new RunOnSequence { TokenIds = { 1, 2 }, Positions = { 1, 1 }, States = TensorCodec.Encode(new float[32], 2, 16) }, InvalidArgument, "sequence.positions", "rise"),
        ["run on: wrong width"] = RunOn(SourceLayer1, new RunOnSequence { TokenIds = { 1, 2 }, Positions = { 1 }, States = TensorCodec.Encode(new float[17], 1, 17) }, InvalidArgument, "sequence.states.header.shape", "[rows, 16]"),
        ["run on: fewer rows than positions"] = RunOn(SourceLayer1, new RunOnSequence { TokenIds = { 1, 2 }, Positions = { 0, 1 }, States = TensorCodec.Encode(new float[16], 1, 16) }, InvalidArgument, "sequence.states.header.shape", "[2, 16]"),
        ["job: unknown id"] = new((m, ct) => m.Mapping.GetMapJobAsync(new() { Id = "none" }, cancellationToken: ct).ResponseAsync, NotFound, "id", "none"),
        ["watch: unknown id"] = new(Watch, NotFound, "id", "none"),
        ["cancel: unknown id"] = new((m, ct) => m.Mapping.CancelMapJobAsync(new() { Id = "none" }, cancellationToken: ct).ResponseAsync, NotFound, "id", "none"),
        ["map: unknown"] = new((m, ct) => m.Mapping.GetMapAsync(new() { Name = "none" }, cancellationToken: ct).ResponseAsync, NotFound, "name", "none"),
        ["maps: page too large"] = new((m, ct) => m.Mapping.ListMapsAsync(new() { PageSize = 1001 }, cancellationToken: ct).ResponseAsync, InvalidArgument, "page_size", "1000"),
        ["apply: unknown map"] = new((m, ct) => m.Mapping.ApplyMapAsync(new() { Map = "none" }, cancellationToken: ct).ResponseAsync, NotFound, "map", "none"),
        ["apply: unknown version"] = new((m, ct) => m.Mapping.ApplyMapAsync(new() { Map = "bad/map", MapVersion = 99 }, cancellationToken: ct).ResponseAsync, NotFound, "map_version", "no version 99"),
        ["apply: wrong width"] = new(
            (m, ct) => m.Mapping.ApplyMapAsync(new() { Map = "bad/map", Rows = TensorCodec.Encode(new float[17], 1, 17) }, cancellationToken: ct).ResponseAsync, InvalidArgument, "rows.header.shape", "[rows, 16]"),
        ["apply: no rows"] = new((m, ct) => m.Mapping.ApplyMapAsync(new() { Map = "bad/map" }, cancellationToken: ct).ResponseAsync, InvalidArgument, "rows", "set"),
        ["transfer: unknown vector"] = Transfer(request => request.Vector = "none", NotFound, "vector", "none"),
        ["transfer: unknown map"] = Transfer(request => request.Map = "none", NotFound, "map", "none"),
        ["transfer: unknown version of the vector"] = Transfer(request => request.VectorVersion = 99, NotFound, "vector_version", "no version 99"),
        ["transfer: unknown version of the map"] = Transfer(request => request.MapVersion = 99, NotFound, "map_version", "no version 99"),
        ["transfer: no name"] = Transfer(request => request.Name = "", InvalidArgument, "name", "1 to 128"),
        ["transfer: map from another layer"] = Transfer(request => request.Vector = "bad/of-layer-2", FailedPrecondition, "vector", "maps from layer 1"),
        ["transfer: map from another model"] = Transfer(request => request.Vector = "bad/of-another", FailedPrecondition, "vector", "maps from layer 1 of source"),
    };

    private static BadRequestCase Load(Action<LoadModelRequest> change, StatusCode code, string field, string says)
    {
        var request = new LoadModelRequest { Name = "more", Checkpoint = "spare" };
        change(request);
        return new((m, ct) => m.Models.LoadModelAsync(request, cancellationToken: ct).ResponseAsync, code, field, says);
    }

    private static string Long => string.Concat(Enumerable.Repeat("The cat sat on the mat. ", 60));

    /// <summary>Stores what some of the cases name.</summary>
    public static async Task PrepareAsync(MeshFixture mesh, CancellationToken cancellation)
    {
        foreach (var (name, model, layer, elements) in new[]
        {
            ("bad/of-source", "source", 1u, Sixteen),
            ("bad/of-layer-2", "source", 2u, Sixteen),
            ("bad/of-another", "another", 1u, MeshCalls.Elements([.. Enumerable.Repeat(1f, 24)])),
            ("bad/of-target", "target", 1u, MeshCalls.Elements([.. Enumerable.Repeat(1f, 24)])),
        })
        {
            await mesh.Vectors.PutVectorAsync(
                new() { Vector = new Vector { Name = name, Model = model, Layer = layer, Provenance = new() { Method = VectorMethod.Given } }, Elements = elements },
                cancellationToken: cancellation);
        }

        var job = await mesh.Mapping.RunJobAsync(MapJob("bad/map", documents: 40), cancellation);
        if (job.State != JobState.Succeeded)
        {
            throw new InvalidOperationException(job.Error);
        }
    }

    private static CreateMapJobRequest MapJob(string name, int documents) => new()
    {
        Map = name,
        Source = new LayerRef { Model = "source", Layer = 1 },
        Target = new LayerRef { Model = "target", Layer = 2 },
        Documents = { TinyCheckpoint.Texts(documents).Select(text => new Document { Text = text }) },
    };

    private static BadRequestCase Extract(Action<ExtractionSpec> spoil, StatusCode code, string field, string says, params string[] texts)
    {
        var spec = new ExtractionSpec { Model = "source", Layers = { 1 } };
        spoil(spec);
        return new((m, ct) => m.Extraction.ReadAsync(spec, [texts], ct), code, field, says);
    }

    private static BadRequestCase ExtractSpans(Reduction reduction, StatusCode code, string field, string says, params (uint Start, uint End)[] spans)
    {
        var spec = new ExtractionSpec { Model = "source", Layers = { 1 }, Reduction = reduction };
        var batch = new TextBatch { Texts = { "The cat" }, Spans = { new TextSpans { Spans = { spans.Select(span => new Span { Start = span.Start, End = span.End }) } } } };
        return new((m, ct) => m.Extraction.ReadRowsAsync(spec, [batch], ct), code, field, says);
    }

    /// <summary>Asks for a text's states with some credit, grants more, and closes.</summary>
    private static async Task ExtractCredit(MeshFixture mesh, ulong first, Credit more, CancellationToken cancellation)
    {
        using var call = mesh.Extraction.ExtractHiddenStates(cancellationToken: cancellation);
        await call.RequestStream.WriteAsync(new() { Spec = new ExtractionSpec { Model = "source", Layers = { 1 }, CreditBytes = first } }, cancellation);
        await call.RequestStream.WriteAsync(new() { Batch = new TextBatch { Texts = { "The cat" } } }, cancellation);
        await call.RequestStream.WriteAsync(new() { Credit = more }, cancellation);
        await call.RequestStream.CompleteAsync();
        while (await call.ResponseStream.MoveNext(cancellation))
        {
        }
    }

    private static async Task ExtractSpecTwice(MeshFixture mesh, CancellationToken cancellation)
    {
        using var call = mesh.Extraction.ExtractHiddenStates(cancellationToken: cancellation);
        await call.RequestStream.WriteAsync(new() { Spec = SourceSpec }, cancellation);
        await call.RequestStream.WriteAsync(new() { Spec = SourceSpec }, cancellation);
        while (await call.ResponseStream.MoveNext(cancellation))
        {
        }
    }

    private static ExtractionSpec SourceSpec => new() { Model = "source", Layers = { 1 } };

    private static async Task ExtractBatchFirst(MeshFixture mesh, CancellationToken cancellation)
    {
        using var call = mesh.Extraction.ExtractHiddenStates(cancellationToken: cancellation);
        await call.RequestStream.WriteAsync(new() { Batch = new TextBatch { Texts = { "a" } } }, cancellation);
        await call.ResponseStream.MoveNext(cancellation);
    }

    private static BadRequestCase Learn(Action<LearnVectorRequest> spoil, StatusCode code, string field, string says) => Spoilt(
        new LearnVectorRequest
        {
            Name = "bad/learnt",
            Model = "source",
            Layers = { 1 },
            Pairs = { new ContrastPair { Positive = "a", Negative = "b" }, new ContrastPair { Positive = "c", Negative = "d" } },
        },
        spoil, (m, request, ct) => m.Extraction.LearnVectorAsync(request, cancellationToken: ct).ResponseAsync, code, field, says);

    private static BadRequestCase Put(Action<PutVectorRequest> spoil, StatusCode code, string field, string says) => Spoilt(
        new PutVectorRequest
        {
            Vector = new Vector { Name = "bad/put", Model = "source", Layer = 1, Provenance = new() { Method = VectorMethod.Given } },
            Elements = Sixteen,
        },
        spoil, (m, request, ct) => m.Vectors.PutVectorAsync(request, cancellationToken: ct).ResponseAsync, code, field, says);

    private static BadRequestCase Generate(Action<GenerateRequest> spoil, StatusCode code, string field, string says) => Spoilt(
        new GenerateRequest { Model = "target", Prompt = "The cat", Sampling = new Sampling(), Stopping = new Stopping { MaxTokens = 4 } },
        spoil, (m, request, ct) => m.Generation.AnswerAsync(request, ct), code, field, says);

    private static BadRequestCase Score(Action<ScoreRequest> spoil, StatusCode code, string field, string says) => Spoilt(
        new ScoreRequest { Model = "target", Prompt = "The cat", Continuations = { new Continuation { Text = " sat" } } },
        spoil, (m, request, ct) => m.Generation.ScoreAsync(request, cancellationToken: ct).ResponseAsync, code, field, says);

    private static async Task ConverseChangeFirst(MeshFixture mesh, CancellationToken cancellation)
    {
        using var call = mesh.Generation.Converse(cancellationToken: cancellation);
        await call.RequestStream.WriteAsync(new() { Change = new SteeringChange() }, cancellation);
        await call.ResponseStream.MoveNext(cancellation);
    }

    private static BadRequestCase Steer(Action<Steering> spoil, StatusCode code, string field, string says) => Generate(
        request =>
        {
            request.Steering.Add(new Steering { Vector = "bad/of-source", Coefficient = 1 });
            spoil(request.Steering[0]);
        },
        code, field, says);

    private static BadRequestCase Given(
        Action<Steering> spoil, StatusCode code, string field, string says, SteeringOperator steeringOperator = SteeringOperator.Add) => Generate(
        request =>
        {
            request.Steering.Add(ByGiven(steeringOperator));
            spoil(request.Steering[0]);
        },
        code, field, says);

    /// <summary>A steering by a given vector; with coefficient 1, as an ablation needs it.</summary>
    private static Steering ByGiven(SteeringOperator steeringOperator) =>
        new() { Given = MeshCalls.Elements([.. Enumerable.Repeat(1f, 24)]), Layer = 1, Coefficient = 1, Operator = steeringOperator };

    private static void Range(Steering steering, uint start, uint end)
    {
        steering.Positions = PositionRule.Ranges;
        steering.Ranges.Add(new PositionRange { Start = start, End = end });
    }

    private static BadRequestCase Job(Action<CreateMapJobRequest> spoil, StatusCode code, string field, string says) => Spoilt(
        MapJob("bad/never", documents: 5), spoil, (m, request, ct) => m.Mapping.CreateMapJobAsync(request, cancellationToken: ct).ResponseAsync, code, field, says);

    private static RunOnSpec SourceLayer1 => new() { Model = "source", Layer = 1 };

    /// <summary>A job for something else than maps.</summary>
    private static BadRequestCase Alone(Action<CreateMapJobRequest> make, StatusCode code, string field, string says) => Job(
        request =>
        {
            make(request);
            (request.Map, request.Source, request.Target) = ("", null, null);
        },
        code, field, says);

    private static void FromFiles(CreateMapJobRequest request, string path)
    {
        request.Documents.Clear();
        request.Texts = new TextSource { Path = path };
    }

    private static BadRequestCase RunOn(RunOnSpec? spec, RunOnSequence sequence, StatusCode code, string field, string says) => new(
        async (mesh, cancellation) =>
        {
            using var call = mesh.Extraction.RunOn(cancellationToken: cancellation);
            if (spec is not null)
            {
                await call.RequestStream.WriteAsync(new() { Spec = spec }, cancellation);
            }

            try
            {
                await call.RequestStream.WriteAsync(new() { Sequence = sequence }, cancellation);
            }
            catch (Grpc.Core.RpcException)
            {
                // The spec was refused before this was sent; the reading side has the status.
            }

            while (await call.ResponseStream.MoveNext(cancellation))
            {
            }
        },
        code, field, says);

    private static MapPair Further(string map, uint layer) => new()
    {
        Map = map,
        Source = new LayerRef { Model = "source", Layer = layer },
        Target = new LayerRef { Model = "target", Layer = 2 },
    };

    private static BadRequestCase Transfer(Action<TransferVectorRequest> spoil, StatusCode code, string field, string says) => Spoilt(
        new TransferVectorRequest { Vector = "bad/of-source", Map = "bad/map", Name = "bad/transferred" },
        spoil, (m, request, ct) => m.Mapping.TransferVectorAsync(request, cancellationToken: ct).ResponseAsync, code, field, says);

    private static BadRequestCase ImportBasis(Action<BasisContent>? spoil, StatusCode code, string field, string says) => new(
        async (mesh, cancellation) =>
        {
            var basis = new SharedBasis { Name = "bad/basis", Rank = 1, Agreement = { 1 } };
            basis.Models.Add(Enumerable.Range(0, 2).Select(i => new BasisModel { Layer = new LayerRef { Model = "source", Layer = (uint)i }, Width = 2, Founder = true }));
            int[][] shapes = [[2], [1, 2], [2, 1], [1, 2]];
            var content = new BasisContent { Basis = basis, Tensors = { shapes.Concat(shapes).Select(shape => TensorCodec.Header(Dtype.Float32, shape)) } };
            spoil?.Invoke(content);
            using var call = mesh.Mapping.ImportBasis(cancellationToken: cancellation);
            if (spoil is not null)
            {
                await call.RequestStream.WriteAsync(new() { Content = content }, cancellation);
            }

            await call.RequestStream.CompleteAsync();
            await call.ResponseAsync;
        },
        code, field, says);

    private static async Task Watch(MeshFixture mesh, CancellationToken cancellation)
    {
        using var watch = mesh.Mapping.WatchMapJob(new() { Id = "none" }, cancellationToken: cancellation);
        await watch.ResponseStream.MoveNext(cancellation);
    }

    private static BadRequestCase Spoilt<T>(
        T request, Action<T> spoil, Func<MeshFixture, T, CancellationToken, Task> call, StatusCode code, string field, string says)
        where T : IMessage<T>
    {
        spoil(request);
        return new((m, ct) => call(m, request, ct), code, field, says);
    }
}
