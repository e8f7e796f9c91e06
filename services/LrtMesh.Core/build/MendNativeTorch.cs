#nullable enable
using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// A build task (compiled by NativeTorch.targets, not part of the assembly): copies a shared library with one needed
/// symbol version marked weak, so that the dynamic loader accepts a system whose library lacks that version.
/// It refuses where a relocation refers to a symbol of that version, since such a library would load and then fail.
/// </summary>
/// <remarks>Layouts are those of the ELF-64 specification and of the Linux Standard Base, "Symbol Versioning".</remarks>
public sealed class MendNativeTorch : Task
{
    private const uint SectionRela = 4;
    private const uint SectionDynamicSymbols = 11;
    private const uint SectionVersionNeeds = 0x6ffffffe;
    private const uint SectionSymbolVersions = 0x6fffffff;
    private const byte Weak = 2; // VER_FLG_WEAK

    private byte[] _elf = [];

    /// <summary>The library to copy; it is only read.</summary>
    [Required]
    public string Library { get; set; } = "";

    /// <summary>Where the copy goes. What lies there, a link included, is replaced and not written to.</summary>
    [Required]
    public string Mended { get; set; } = "";

    /// <summary>The version to mark, such as GLIBCXX_3.4.32.</summary>
    [Required]
    public string Version { get; set; } = "";

    /// <inheritdoc/>
    public override bool Execute()
    {
        try
        {
            _elf = File.ReadAllBytes(Library);
            MarkWeak();
            Directory.CreateDirectory(Path.GetDirectoryName(Mended)!);
            var fresh = Mended + "." + Guid.NewGuid().ToString("N");
            File.WriteAllBytes(fresh, _elf);
            File.Delete(Mended);
            File.Move(fresh, Mended);
            Log.LogMessage(MessageImportance.Normal, "{0} marked weak in {1}", Version, Mended);
        }
        catch (Exception e) when (e is InvalidDataException or IndexOutOfRangeException or ArgumentException or OverflowException)
        {
            Log.LogError("{0} cannot be mended: {1} Restore its package again, or build with -p:MendNativeTorch=false to use it as it is.", Library, e.Message);
        }

        return !Log.HasLoggedErrors;
    }

    private void MarkWeak()
    {
        // \x7fELF, 64 bits, little-endian
        if (_elf.Length < 64 || U32(0) != 0x464c457f || _elf[4] != 2 || _elf[5] != 1)
        {
            throw new InvalidDataException("it is not a 64-bit little-endian ELF file.");
        }

        var sections = Sections();
        foreach (var needs in sections.FindAll(s => s.Type == SectionVersionNeeds))
        {
            var entry = FindVersion(needs, sections[needs.Link]);
            if (entry >= 0)
            {
                RefuseIfUsed(sections, U16(entry + 6));
                _elf[entry + 4] |= Weak; // vna_flags
            }
        }
    }

    /// <summary>The offset of the version's Elf64_Vernaux, or -1.</summary>
    private int FindVersion(Section needs, Section strings)
    {
        var need = needs.Offset;
        for (var i = 0; i < needs.Info; i++)
        {
            var entry = need + (int)U32(need + 8); // vn_aux
            for (var j = 0; j < U16(need + 2); j++) // vn_cnt
            {
                if (Text(strings.Offset + (int)U32(entry + 8)) == Version) // vna_name
                {
                    return entry;
                }

                entry += (int)U32(entry + 12); // vna_next
            }

            need += (int)U32(need + 12); // vn_next
        }

        return -1;
    }

    private void RefuseIfUsed(List<Section> sections, int version)
    {
        var symbols = sections.FindIndex(s => s.Type == SectionDynamicSymbols);
        var versions = sections.Find(s => s.Type == SectionSymbolVersions)
            ?? throw new InvalidDataException("it has no section of symbol versions.");
        foreach (var rela in sections.FindAll(s => s.Type == SectionRela && s.Link == symbols))
        {
            for (var at = rela.Offset; at < rela.Offset + rela.Size; at += 24) // Elf64_Rela
            {
                var symbol = (int)U32(at + 12); // the upper half of r_info
                if ((U16(versions.Offset + (2 * symbol)) & 0x7fff) == version)
                {
                    var name = Text(sections[sections[symbols].Link].Offset + (int)U32(sections[symbols].Offset + (24 * symbol)));
                    throw new InvalidDataException($"it really uses {name} of {Version}.");
                }
            }
        }
    }

    private List<Section> Sections()
    {
        var table = checked((int)U64(0x28)); // e_shoff
        var list = new List<Section>();
        for (var i = 0; i < U16(0x3c); i++) // e_shnum
        {
            var at = table + (i * U16(0x3a)); // e_shentsize
            list.Add(new Section(U32(at + 4), checked((int)U64(at + 24)), checked((int)U64(at + 32)), (int)U32(at + 40), (int)U32(at + 44)));
        }

        return list;
    }

    private ushort U16(int at) => BitConverter.ToUInt16(_elf, at);

    private uint U32(int at) => BitConverter.ToUInt32(_elf, at);

    private ulong U64(int at) => BitConverter.ToUInt64(_elf, at);

    private string Text(int at) => Encoding.ASCII.GetString(_elf, at, Array.IndexOf(_elf, (byte)0, at) - at);

    /// <summary>What is needed of an Elf64_Shdr.</summary>
    private sealed class Section(uint type, int offset, int size, int link, int info)
    {
        public uint Type { get; } = type;

        public int Offset { get; } = offset;

        public int Size { get; } = size;

        public int Link { get; } = link;

        public int Info { get; } = info;
    }
}
