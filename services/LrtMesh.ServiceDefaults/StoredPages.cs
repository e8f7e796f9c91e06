using Google.Protobuf;
using LrtMesh.Core;
using LrtMesh.Core.Store;

namespace LrtMesh.ServiceDefaults;

/// <summary>Lists of stored records on behalf of a request.</summary>
public static class StoredPages
{
    /// <summary>A page of the records whose names start so; or, where a name is given, all versions of that one.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument; NotFound: the name; DataLoss: a record of the page is damaged; Unavailable.</exception>
    public static async Task<Page<TInfo>> PageAsync<TInfo, TRecord>(
        this RecordStore<TInfo, TRecord> store, string prefix, uint pageSize, string pageToken, string versionsOf, CancellationToken cancellation)
        where TInfo : class, IMessage<TInfo>, new()
        where TRecord : class
    {
        if (versionsOf.Length == 0)
        {
            return await store.ListAsync(prefix, RequestCheck.PageSize(pageSize), pageToken, cancellation);
        }

        if (prefix.Length > 0 || pageSize > 0 || pageToken.Length > 0)
        {
            throw LrtMeshException.Invalid("versions_of", "must not come with prefix, page_size or page_token: all versions come in one page");
        }

        return new Page<TInfo>(await store.VersionsAsync(versionsOf, cancellation).NamedBy("versions_of"), "");
    }
}
