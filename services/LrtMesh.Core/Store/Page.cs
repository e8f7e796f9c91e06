namespace LrtMesh.Core.Store;

/// <summary>Part of a list.</summary>
/// <param name="Items">The entries, in the list's order.</param>
/// <param name="NextToken">Where the next page starts; empty if this is the last.</param>
public sealed record Page<T>(IReadOnlyList<T> Items, string NextToken);
