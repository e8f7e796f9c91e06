using System.Diagnostics;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core;
using LrtMesh.Core.Maps;
using LrtMesh.V1;
using AffineMap = LrtMesh.Core.Maps.AffineMap;

namespace LrtMesh.Mapping;

/// <summary>Fits the map of one job: reads documents in both models, keeps their moments alone, and solves.</summary>
public sealed class MapFitter(ModelEndpoints endpoints)
{
    /// <summary>Folds where a request names none.</summary>
    public const int DefaultFolds = 5;

    /// <summary>What a control map is called after its map.</summary>
    public const string ControlSuffix = ".shuffled";

    private const int BatchDocuments = 64;
    private static readonly TimeSpan ReportEvery = TimeSpan.FromMilliseconds(250);

    /// <summary>Fits.</summary>
    /// <param name="request">The request, checked.</param>
    /// <param name="report">Hears of progress: the state, documents and rows read.</param>
    /// <param name="cancellation">Ends it within a batch.</param>
    /// <returns>The map, and its control where one was asked for.</returns>
    /// <exception cref="LrtMeshException">What went wrong, for the job's error.</exception>
    /// <remarks>1. Find both models. 2. Read both, a batch of documents at a time. 3. Solve.</remarks>
    public async Task<IReadOnlyList<AffineMap>> FitAsync(
        CreateMapJobRequest request, Func<JobState, int, long, Task> report, CancellationToken cancellation)
    {
        var watch = Stopwatch.StartNew();

        // 1.
        var (source, target) = await endpoints.FindAsync(request.Source, request.Target, cancellation);
        var fit = request.Fit ?? new FitOptions();
        var moments = Accumulator(source.Model, target.Model, fit);

        // 2.
        using var x = await StateStream.OpenAsync(source, request.Source.Layer, cancellation);
        using var y = await StateStream.OpenAsync(target, request.Target.Layer, cancellation);
        var reported = Stopwatch.StartNew();
        await report(JobState.Extracting, 0, 0);
        for (int start = 0, count; start < request.Documents.Count; start += count)
        {
            var first = request.Documents[start];
            // Texts and chats go in batches of their own.
            var batch = request.Documents.Skip(start).Take(BatchDocuments).TakeWhile(document => document.Chat is null == first.Chat is null).ToArray();
            count = batch.Length;
            var reads = await Task.WhenAll(x.ReadAsync(batch), y.ReadAsync(batch));
            for (var i = 0; i < count; i++)
            {
                AddPairs(moments, (start + i) % moments.Folds, reads[0][i], reads[1][i], start + i);
            }

            if (reported.Elapsed >= ReportEvery)
            {
                await report(JobState.Extracting, start + count, moments.Rows);
                reported.Restart();
            }
        }

        // 3.
        await report(JobState.Solving, request.Documents.Count, moments.Rows);
        var solved = Ridge.Fit(moments.Pair(), fit.HasLambda ? fit.Lambda : null);
        cancellation.ThrowIfCancellationRequested();
        var maps = new List<AffineMap> { solved.ToAffineMap(Describe(request, source.Model, target.Model, shuffled: false)) };
        if (fit.ShuffledControl)
        {
            maps.Add(Ridge.FitShuffled(moments.Pair(), solved.Lambda).ToAffineMap(Describe(request, source.Model, target.Model, shuffled: true)));
        }

        foreach (var map in maps)
        {
            map.Info.Metrics.FitTime = Duration.FromTimeSpan(watch.Elapsed);
        }

        return maps;
    }

    private static MomentAccumulator Accumulator(Model source, Model target, FitOptions fit)
    {
        var folds = fit.Folds == 0 ? DefaultFolds : (int)fit.Folds;
        var needed = MomentAccumulator.BytesNeeded((int)source.Width, (int)target.Width, folds, fit.ShuffledControl);
        var available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        return needed <= available / 2
            ? new MomentAccumulator((int)source.Width, (int)target.Width, folds, fit.ShuffledControl)
            : throw new LrtMeshException(
                ErrorReason.ResourceExhausted,
                [new Violation("fit.folds", $"a map of widths {source.Width} and {target.Width} with {folds} folds takes {needed >> 20} MiB, and a job may take {available >> 21} MiB here: use fewer folds")]);
    }

    /// <summary>Pairs a document's rows by position. Rows that were added around the text say nothing of it and are left out.</summary>
    private static void AddPairs(MomentAccumulator moments, int fold, TextStates source, TextStates target, int document)
    {
        // Contexts may differ, and so may where a long document was cut.
        var tokens = Math.Min(source.TokenIds.Length, target.TokenIds.Length);
        var x = new List<float>(tokens * moments.SourceWidth);
        var y = new List<float>(tokens * moments.TargetWidth);
        for (var i = 0; i < tokens; i++)
        {
            if (source.TokenIds[i] != target.TokenIds[i])
            {
                throw LrtMeshException.Mismatch(
                    "target.model", $"document {document} has token {source.TokenIds[i]} in the source and {target.TokenIds[i]} in the target at position {i}");
            }

            if (source.IsText[i])
            {
                x.AddRange(source.Rows.Span.Slice(i * moments.SourceWidth, moments.SourceWidth));
                y.AddRange(target.Rows.Span.Slice(i * moments.TargetWidth, moments.TargetWidth));
            }
        }

        moments.Add(fold, x.ToArray(), y.ToArray());
    }

    private static V1.AffineMap Describe(CreateMapJobRequest request, Model source, Model target, bool shuffled)
    {
        using var digest = new ContentDigest();
        digest.Add("documents");
        foreach (var document in request.Documents)
        {
            digest.Add(document.Text);
            if (document.Chat is { } chat)
            {
                digest.Add("chat").AddBytes(chat.ToByteArray());
            }
        }

        return new V1.AffineMap
        {
            Name = shuffled ? request.Map + ControlSuffix : request.Map,
            Source = request.Source,
            Target = request.Target,
            SourceDigest = source.Digest,
            TargetDigest = target.Digest,
            Shuffled = shuffled,
            DataDigest = digest.Finish(),
        };
    }
}
