using System.Globalization;
using LrtMesh.Core;
using LrtMesh.Core.Maps;
using LrtMesh.Core.Store;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>What a job may be asked for.</summary>
internal static class MapRequest
{
    /// <summary>Folds where a request names none.</summary>
    public const int DefaultFolds = 5;

    /// <summary>Bytes of one document at most: it travels in one message.</summary>
    public const int MaxDocumentBytes = 2 << 20;

    private const int MinFolds = 3;
    private const int MaxFolds = 16;
    private const int MaxMaps = 1024;
    private const int MaxLayers = 64;
    private const int MaxWindow = 65536;
    private const int MaxBasisModels = 16;
    private const int MaxWidth = 1 << 16;
    private static readonly TimeSpan DefaultTimeLimit = TimeSpan.FromHours(24);
    private static readonly TimeSpan MaxTimeLimit = TimeSpan.FromDays(7);

    /// <summary>How long a job may take.</summary>
    public static TimeSpan TimeLimitOf(CreateMapJobRequest request) => request.TimeLimit?.ToTimeSpan() ?? DefaultTimeLimit;

    /// <summary>Checks everything that needs no model.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument, naming every wrong field.</exception>
    public static void Check(CreateMapJobRequest request)
    {
        var check = new RequestCheck();
        check.Require(
            new object?[] { request.Sweep, request.Basis, request.Map.Length > 0 || request.Source is not null || request.More.Count > 0 ? request : null }.Count(what => what is not null) <= 1,
            request.Sweep is not null ? "sweep" : "basis",
            "must come alone: a job is for maps, a sweep or a basis");
        if (request.Sweep is { } sweep)
        {
            CheckSweep(sweep, check);
        }
        else if (request.Basis is { } basis)
        {
            CheckBasis(basis, check);
        }
        else
        {
            CheckMaps(request, check);
        }

        CheckFit(request.Fit ?? new FitOptions(), request, check);
        CheckTexts(request, check);
        check.Require(
            request.TimeLimit is null || (request.TimeLimit.Seconds >= 1 && request.TimeLimit.Seconds <= MaxTimeLimit.TotalSeconds && request.TimeLimit.Nanos is >= 0 and < 1_000_000_000),
            "time_limit",
            $"must be from 1 s to {MaxTimeLimit.TotalDays} days");
        check.Throw();
    }

    /// <summary>Checks what rows are pushed for.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument, naming every wrong field.</exception>
    public static void Check(PushRowsSpec spec)
    {
        var check = new RequestCheck();
        var request = new CreateMapJobRequest { Map = spec.Map, Source = spec.Source, Target = spec.Target };
        var fit = spec.Fit ?? new FitOptions();
        request.Fit = fit;
        CheckMaps(request, check);
        CheckFit(fit, request, check);
        check.Require(fit.Solver != MapSolver.Adamw, "fit.solver", "AdamW keeps all rows, which pushed ones are not");
        check.Require(!fit.StitchedLoss, "fit.stitched_loss", "needs texts, which pushed rows do not bring");
        check.Require(fit.Window <= 1, "fit.window", "is for texts: push the means of windows instead");
        check.Require(spec.SourceWidth is >= 1 and <= MaxWidth, "source_width", $"must be 1 to {MaxWidth}, not {spec.SourceWidth}");
        check.Require(spec.TargetWidth is >= 1 and <= MaxWidth, "target_width", $"must be 1 to {MaxWidth}, not {spec.TargetWidth}");
        try
        {
            check.Throw();
        }
        catch (LrtMeshException e)
        {
            throw new LrtMeshException(e.Reason, [.. e.Violations.Select(violation => violation with { Field = $"spec.{violation.Field}" })]);
        }
    }

    /// <summary>Checks what depends on the models: that the moments fit into memory and into the store.</summary>
    /// <param name="plan">What the job reads.</param>
    /// <param name="models">The model of each layer.</param>
    /// <param name="fit">How it fits.</param>
    /// <param name="memory">Bytes that a job may take.</param>
    /// <exception cref="LrtMeshException">ResourceExhausted, with what would fit; InvalidArgument: a rank beyond the widths.</exception>
    public static void CheckSizes(MapPlan plan, IReadOnlyList<LocatedModel> models, FitOptions fit, long memory)
    {
        foreach (var (x, y) in plan.Pairs)
        {
            var lesser = Math.Min(models[x].Model.Width, models[y].Model.Width);
            if (fit.Rank > lesser)
            {
                throw LrtMeshException.Invalid("fit.rank", $"must be from 1 to {lesser}, the lesser width of {plan.Layers[x].Layer.Model} and {plan.Layers[y].Layer.Model}, not {fit.Rank}");
            }
        }

        if (Fits(plan.Pairs.Count, Gathered.FoldsOf(fit)))
        {
            return;
        }

        var pairs = plan.Pairs.Count;
        while (pairs > 0 && !Fits(pairs, Gathered.FoldsOf(fit)))
        {
            pairs--;
        }

        var advice = Fits(plan.Pairs.Count, MinFolds) ? $"use {MinFolds} folds"
            : pairs > 0 ? $"the first {pairs} pairs of layers would fit"
            : "not even one pair of these widths fits";
        var needed = MomentAccumulator.BytesNeeded(plan.Layout(models), Gathered.FoldsOf(fit), fit.ShuffledControl);
        throw new LrtMeshException(
            ErrorReason.ResourceExhausted,
            [new Violation(
                plan.Maps.Count == 0 ? (plan.Models.Count == 2 ? "sweep" : "basis") : plan.Pairs.Count > 1 ? "more" : "fit.folds",
                string.Create(CultureInfo.InvariantCulture, $"moments of {plan.Pairs.Count} pairs of layers with {Gathered.FoldsOf(fit)} folds take {needed >> 20} MiB, and a job may take {memory >> 20} MiB of memory and {JobFiles.MaxBytes >> 20} MiB of the store: {advice}"))]);

        bool Fits(int count, int folds)
        {
            var layers = plan.Pairs.Take(count).SelectMany(p => new[] { p.X, p.Y }).Distinct().Order().ToList();
            var layout = new MomentLayout(
                [.. layers.Select(layer => (int)models[layer].Model.Width)], [.. plan.Pairs.Take(count).Select(p => (layers.IndexOf(p.X), layers.IndexOf(p.Y)))]);
            return MomentAccumulator.BytesNeeded(layout, folds, fit.ShuffledControl) <= memory && MomentFile.MostBytes(layout, folds, fit.ShuffledControl) <= JobFiles.MaxBytes;
        }
    }

    private static void CheckMaps(CreateMapJobRequest request, RequestCheck check)
    {
        var fit = request.Fit ?? new FitOptions();
        var names = new HashSet<string>(StringComparer.Ordinal);
        var pairs = new HashSet<(LayerRef, LayerRef)>();
        var layers = new HashSet<LayerRef>();
        check.Require(request.More.Count < MaxMaps, "more", $"must hold at most {MaxMaps - 1} further maps, not {request.More.Count}");
        foreach (var (name, source, target, field) in MapPlan.MapsOf(request).Take(MaxMaps))
        {
            var longest = name.Length > 0 ? MapPlan.NamesOf(name, fit).MaxBy(map => map.Name.Length)!.Name : name;
            check.Name(longest, $"{field}map");
            foreach (var planned in MapPlan.NamesOf(name, fit))
            {
                check.Require(names.Add(planned.Name), $"{field}map", $"must be another name: '{planned.Name}' is given to two maps");
            }

            var known = check.Require(source?.Model.Length > 0, $"{field}source.model", "must name a model")
                & check.Require(target?.Model.Length > 0, $"{field}target.model", "must name a model");
            if (known)
            {
                check.Require(!source!.Equals(target), $"{field}target", "must be another layer than the source");
                check.Require(pairs.Add((source, target!)) && !pairs.Contains((target!, source)), $"{field}target", "must be another pair of layers: this one is there already, in this or the other direction (fit.map_back gives both)");
                layers.UnionWith([source, target!]);
            }
        }

        check.Require(layers.Count <= MaxLayers, "more", $"must be maps between at most {MaxLayers} layers, not {layers.Count}");
    }

    private static void CheckSweep(Sweep sweep, RequestCheck check)
    {
        foreach (var (model, layers, field) in new[] { (sweep.SourceModel, sweep.SourceLayers, "source"), (sweep.TargetModel, sweep.TargetLayers, "target") })
        {
            check.Require(model.Length > 0, $"sweep.{field}_model", "must name a model");
            check.Require(layers.Count > 0 && layers.Distinct().Count() == layers.Count, $"sweep.{field}_layers", "must name at least one layer, each once");
            check.Require(layers.Count <= MaxLayers, $"sweep.{field}_layers", $"must be at most {MaxLayers}, not {layers.Count}");
        }

        check.Require(sweep.SourceModel != sweep.TargetModel, "sweep.target_model", "must be another model than the source");
    }

    private static void CheckBasis(BasisRequest basis, RequestCheck check)
    {
        check.Name(basis.Name, "basis.name");
        var models = basis.Models.Select(layer => layer.Model).ToArray();
        check.Require(models.All(model => model.Length > 0) && models.Distinct().Count() == models.Length, "basis.models", "must name models, each once");
        if (basis.Add)
        {
            check.Require(models.Length == 1, "basis.models", $"must be the one model that is added, not {models.Length}");
            check.Require(basis.Rank == 0 && !basis.HasLambda, "basis.rank", "must be unset with add, and so must lambda: they are the basis' own");
        }
        else
        {
            check.Require(models.Length is >= 2 and <= MaxBasisModels, "basis.models", $"must be 2 to {MaxBasisModels} models, not {models.Length}");
            check.Require(basis.Rank is >= 1 and <= int.MaxValue, "basis.rank", "must be at least 1");
            check.Require(!basis.HasLambda || (double.IsFinite(basis.Lambda) && basis.Lambda >= 0), "basis.lambda", $"must be a finite number of at least 0, not {basis.Lambda}");
        }
    }

    private static void CheckFit(FitOptions fit, CreateMapJobRequest request, RequestCheck check)
    {
        var folds = fit.Folds == 0 ? DefaultFolds : fit.Folds;
        check.Require(folds is >= MinFolds and <= MaxFolds, "fit.folds", $"must be {MinFolds} to {MaxFolds}, or 0 for {DefaultFolds}, not {folds}");
        check.Require(fit.Window <= MaxWindow, "fit.window", $"must be at most {MaxWindow} tokens, not {fit.Window}");
        if (!check.Known(fit.Solver, "fit.solver"))
        {
            return;
        }

        if (request.Sweep is not null || request.Basis is not null)
        {
            check.Require(!fit.MapBack && !fit.ShuffledControl && !fit.StitchedLoss, "fit", "of a sweep or a basis has no map_back, shuffled_control or stitched_loss");
            check.Require(fit.Solver != MapSolver.Adamw && (request.Basis is null || fit.Solver == MapSolver.Unspecified), "fit.solver", "must be unset for a basis, and not AdamW for a sweep");
        }

        check.Require(!fit.StitchedLoss || request.MomentsOf.Count == 0, "fit.stitched_loss", "needs documents or texts, which moments_of does not read");
        var penalized = fit.Solver is MapSolver.Unspecified or MapSolver.Ridge or MapSolver.ReducedRank;
        var reduced = fit.Solver == MapSolver.ReducedRank;
        check.Require(!fit.HasLambda || (double.IsFinite(fit.Lambda) && fit.Lambda >= 0), "fit.lambda", $"must be a finite number of at least 0, not {fit.Lambda}");
        check.Require(penalized || !fit.HasLambda, "fit.lambda", "is for ridge and reduced rank alone");
        check.Require(penalized || !fit.Standardize, "fit.standardize", "is for ridge and reduced rank alone");
        check.Require(reduced || fit.Rank == 0, "fit.rank", "is for MAP_SOLVER_REDUCED_RANK alone");
        check.Require(reduced || fit.KeptVariance == 0, "fit.kept_variance", "is for MAP_SOLVER_REDUCED_RANK alone");
        check.Require(!reduced || fit.Rank > 0 != fit.KeptVariance > 0, "fit.rank", "must be given for reduced rank, or else fit.kept_variance, and not both");
        check.Require(!reduced || fit.KeptVariance is >= 0 and <= 1, "fit.kept_variance", $"must be above 0 and at most 1, not {fit.KeptVariance}");
        check.Require(fit.Solver is not (MapSolver.Procrustes or MapSolver.Adamw) || !fit.ShuffledControl, "fit.shuffled_control", "is for least squares, ridge and reduced rank alone");
        check.Require(double.IsFinite(fit.LearningRate) && fit.LearningRate >= 0, "fit.learning_rate", $"must be a finite number above 0, or 0 for the default, not {fit.LearningRate}");
        if (fit.Solver == MapSolver.Adamw)
        {
            check.Require(request.More.Count == 0, "more", "must be empty with AdamW, which keeps the rows of one pair");
            check.Require(!fit.MapBack, "fit.map_back", "is not for AdamW");
            check.Require(request.MomentsOf.Count == 0 && !request.KeepMoments, "fit.solver", "AdamW needs rows, which moments do not hold");
        }
        else
        {
            check.Require(fit.LearningRate == 0, "fit.learning_rate", "is for AdamW alone");
        }
    }

    private static void CheckTexts(CreateMapJobRequest request, RequestCheck check)
    {
        if (request.MomentsOf.Count > 0)
        {
            check.Require(request.Documents.Count == 0, "documents", "must be empty with moments_of");
            check.Require(request.Texts is null, "texts", "must be unset with moments_of");
            check.Require(request.MomentsOf.Distinct().Count() == request.MomentsOf.Count, "moments_of", "must name each job once");
            return;
        }

        if (request.Texts is { } texts)
        {
            check.Require(request.Documents.Count == 0, "documents", "must be empty with texts");
            check.Require(texts.Path.Length > 0, "texts.path", "must name a file or folder below the role's text root");
            return;
        }

        var folds = Gathered.FoldsOf(request.Fit ?? new FitOptions());
        check.Require(request.Documents.Count >= folds, "documents", $"must be at least {folds}, one a fold, not {request.Documents.Count}");
        for (var i = 0; i < request.Documents.Count; i++)
        {
            var document = request.Documents[i];
            check.Require(document.Text.Length > 0 != document.Chat is not null, $"documents[{i}].text", document.Chat is null ? "must not be empty" : "must be empty where there is a chat");
            check.Require(document.CalculateSize() <= MaxDocumentBytes, $"documents[{i}]", $"must have at most {MaxDocumentBytes} bytes");
        }
    }
}
