namespace LrtMesh.Core.Models;

/// <summary>How a model serves generation.</summary>
public sealed record ServingOptions
{
    private const int CacheShareOfMemory = 8;
    private const int PrefixShareOfMemory = 16;

    /// <summary>Keys and values of live sequences, in bytes at most; default is an eighth of the process's memory.</summary>
    public long KvCacheBytes { get; init; } = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / CacheShareOfMemory;

    /// <summary>Keys and values of prompts that are kept, in bytes at most; default is a sixteenth of the process's memory; 0: none are.</summary>
    public long PrefixCacheBytes { get; init; } = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / PrefixShareOfMemory;

    /// <summary>Tokens of a prompt, at most; 0, the default: as many as the model's longest sequence leaves.</summary>
    public int PromptTokens { get; init; }

    /// <summary>
    /// Computes each sequence by itself and prompts in pieces of fixed size, so that an answer is the same bit for bit whatever else is
    /// served and cached; default is false, since a batch is many times faster.
    /// </summary>
    public bool Deterministic { get; init; }
}
