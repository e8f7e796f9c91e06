using System.Runtime.CompilerServices;
using LrtMesh.Core;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>The documents of a job, in batches, from its request or from files.</summary>
/// <remarks>
/// Where a batch ends depends on the documents alone: batches after a restart are those of an undisturbed run, and so are hidden
/// states, to the last bit.
/// </remarks>
internal sealed class DocumentSource(CreateMapJobRequest request, MappingOptions options)
{
    private const int BatchDocuments = 64;
    private const int BatchBytes = 1 << 20;

    /// <summary>Batches from a document on.</summary>
    /// <param name="skip">Documents that were read before, whole batches of them.</param>
    /// <param name="dataDigest">Digest of those; if files have other texts there now, the job cannot go on.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <returns>Documents, and the share of all that is read with them, 0 to 1.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument: a file that cannot be read as texts; FailedPrecondition: its texts have changed.</exception>
    public async IAsyncEnumerable<(IReadOnlyList<Document> Documents, double Progress)> ReadAsync(
        long skip, string dataDigest, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var batch = new List<Document>();
        var (bytes, read, progress, digest) = (0L, 0L, 0.0, "");
        await foreach (var (document, before) in DocumentsAsync(cancellation))
        {
            // Texts and chats go in batches of their own.
            if (batch.Count == BatchDocuments || (batch.Count > 0 && (bytes + document.CalculateSize() > BatchBytes || document.Chat is null != batch[0].Chat is null)))
            {
                if (Finish(before))
                {
                    yield return (batch, progress);
                }

                (batch, bytes) = ([], 0);
            }

            batch.Add(document);
            bytes += document.CalculateSize();
        }

        if (batch.Count > 0 && Finish(1))
        {
            yield return (batch, progress);
        }

        // Ends a batch; true if it has not been read before.
        bool Finish(double before)
        {
            (read, progress) = (read + batch.Count, before);
            if (read > skip)
            {
                return true;
            }

            digest = Gathered.Chain(digest, batch);
            return read != skip || digest == dataDigest
                ? false
                : throw LrtMeshException.Mismatch("texts.path", $"the first {skip} documents are not those that the moments saved were gathered from; create the job again");
        }
    }

    private async IAsyncEnumerable<(Document Document, double Progress)> DocumentsAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        if (request.Texts is not { } texts)
        {
            for (var i = 0; i < request.Documents.Count; i++)
            {
                yield return (request.Documents[i], (double)i / request.Documents.Count);
            }

            yield break;
        }

        var count = 0UL;
        await foreach (var (document, progress) in DocumentFiles.Open(texts, options.TextRoot).ReadAsync(cancellation))
        {
            yield return (document, texts.MaxDocuments > 0 ? (double)count / texts.MaxDocuments : progress);
            if (++count == texts.MaxDocuments)
            {
                yield break;
            }
        }
    }
}
