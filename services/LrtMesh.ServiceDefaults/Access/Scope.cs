namespace LrtMesh.ServiceDefaults.Access;

/// <summary>What a token lets its bearer do, as its scope claim has it.</summary>
public static class Scope
{
    /// <summary>Read hidden states.</summary>
    public const string Extract = "extract";

    /// <summary>See and apply maps, vectors, bases and jobs.</summary>
    public const string MapRead = "map:read";

    /// <summary>Make, change and delete them.</summary>
    public const string MapWrite = "map:write";

    /// <summary>Generate and score text.</summary>
    public const string Generate = "generate";

    /// <summary>All of it, without a tenant's limits.</summary>
    public const string Admin = "admin";
}
