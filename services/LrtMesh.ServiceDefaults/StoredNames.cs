using LrtMesh.Core;

namespace LrtMesh.ServiceDefaults;

/// <summary>Reads of stored records on behalf of a request.</summary>
public static class StoredNames
{
    /// <summary>Lets an error about the record's name or version point to the request's field that gave it, such as map or map_version: the store knows neither.</summary>
    public static async Task<T> NamedBy<T>(this Task<T> read, string field)
    {
        try
        {
            return await read;
        }
        catch (LrtMeshException e) when (e.Reason is ErrorReason.NotFound or ErrorReason.InvalidArgument && e.Violations.Count > 0)
        {
            throw new LrtMeshException(e.Reason, [.. e.Violations.Select(violation => violation with { Field = violation.Field == "version" ? $"{field}_version" : field })]);
        }
    }
}
