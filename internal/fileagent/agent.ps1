# winrmkit file agent 1: requests on stdin, replies on stdout, see package fileagent.
$ErrorActionPreference='Stop'
$in=[Console]::OpenStandardInput()
$out=[Console]::OpenStandardOutput()
$piece=262144
$utf=New-Object Text.UTF8Encoding $false
$head=New-Object byte[] 5
$buf=New-Object byte[] $piece
$big=New-Object byte[] ($piece+5)
$st=@{n=0}

function WkFill($b,$n){
	$o=0
	while($o -lt $n){
		$r=$in.Read($b,$o,$n-$o)
		if($r -le 0){if($o -or $b.Length -ne 5){exit 3};exit 0}
		$o+=$r
	}
}
# The next frame: its kind; its content is in $buf, $st.n bytes.
function WkNext{
	WkFill $head 5
	$st.n=[BitConverter]::ToInt32($head,1)
	if($st.n -lt 0 -or $st.n -gt $piece){exit 4}
	if($st.n){WkFill $buf $st.n}
	[string][char]$head[0]
}
function WkSend($kind,$b,$n){
	$b[0]=[byte][char]$kind
	[BitConverter]::GetBytes([int]$n).CopyTo($b,1)
	$out.Write($b,0,$n+5)
	$out.Flush()
}
function WkReply($kind,$value){
	$t=$utf.GetBytes((ConvertTo-Json -InputObject $value -Compress -Depth 4))
	$b=New-Object byte[] ($t.Length+5)
	$t.CopyTo($b,5)
	WkSend $kind $b $t.Length
}
function WkSha{
	try{New-Object Security.Cryptography.SHA256CryptoServiceProvider}catch{[Security.Cryptography.SHA256]::Create()}
}
function WkHex($sha){
	[void]$sha.TransformFinalBlock($buf,0,0)
	[BitConverter]::ToString($sha.Hash).Replace('-','').ToLowerInvariant()
}
# Hashes the first bytes of a file, with one or two hashes.
function WkPrefix($f,$n,$a,$b){
	$f.Position=0
	while($n -gt 0){
		$r=$f.Read($big,5,[int][Math]::Min($piece,$n))
		if($r -le 0){break}
		[void]$a.TransformBlock($big,5,$r,$null,0)
		if($b){[void]$b.TransformBlock($big,5,$r,$null,0)}
		$n=$n-$r
	}
}
function WkEntry($i){
	$a=[int]$i.Attributes
	$s=0
	if(-not ($a -band 16)){$s=$i.Length}
	@{n=$i.Name;s=$s;t=$i.LastWriteTimeUtc.Ticks;a=$a}
}
function WkInfo($p){
	if([int][IO.File]::GetAttributes($p) -band 16){[IO.DirectoryInfo]$p}else{[IO.FileInfo]$p}
}
function WkFail($code,$text){throw (New-Object IO.IOException $text,$code)}

function WkHello($q){
	WkReply 'R' @{v=1;ps="$($PSVersionTable.PSVersion)";d=[Environment]::CurrentDirectory;t=[IO.Path]::GetTempPath()}
}
function WkStat($q){WkReply 'R' (WkEntry (WkInfo $q.p))}
function WkList($q){
	$l=New-Object Collections.ArrayList
	foreach($i in ([IO.DirectoryInfo]$q.p).GetFileSystemInfos()){
		[void]$l.Add((WkEntry $i))
		if($l.Count -ge 500){WkReply 'L' @{e=$l.ToArray()};$l.Clear()}
	}
	WkReply 'R' @{e=$l.ToArray()}
}
function WkRead($q){
	$f=[IO.File]::Open($q.p,[IO.FileMode]::Open,[IO.FileAccess]::Read,[IO.FileShare]7)
	try{
		$sha=WkSha
		$o=[long]$q.o
		if($q.h){
			$p=WkSha
			if($o -le $f.Length){WkPrefix $f $o $sha $p}
			if($o -gt $f.Length -or (WkHex $p) -ne $q.h){$o=0;$sha=WkSha}
		}
		$f.Position=$o
		$e=WkEntry ([IO.FileInfo]$q.p)
		$e.s=$f.Length
		WkReply 'L' @{o=$o;i=$e}
		$left=[long]$q.c
		while($left -ne 0){
			$w=$piece
			if($left -gt 0 -and $left -lt $w){$w=[int]$left}
			$r=$f.Read($big,5,$w)
			if($r -le 0){break}
			[void]$sha.TransformBlock($big,5,$r,$null,0)
			$z=$null
			if($q.z){
				$m=New-Object IO.MemoryStream
				$d=New-Object IO.Compression.DeflateStream $m,([IO.Compression.CompressionMode]::Compress),$true
				$d.Write($big,5,$r)
				$d.Close()
				if($m.Length -lt $r*0.9){$z=New-Object byte[] ($m.Length+5);$m.Position=0;[void]$m.Read($z,5,$z.Length-5)}
			}
			if($z){WkSend 'Z' $z ($z.Length-5)}else{WkSend 'D' $big $r}
			if($left -gt 0){$left=$left-$r}
		}
		WkReply 'R' @{h=(WkHex $sha)}
	}finally{$f.Close()}
}
# Opens the part file of an upload, with what an earlier one has left if that is wanted. Nobody else
# can write to it while it is open.
function WkPart($q,$part){
	$f=$null
	if($q.r){
		$old=@([IO.Directory]::GetFiles($q.d,$q.k+'-*.part')|Sort-Object {([IO.FileInfo]$_).Length} -Descending)
		if($old.Count){
			try{
				$f=[IO.File]::Open($old[0],[IO.FileMode]::Open,[IO.FileAccess]::ReadWrite,[IO.FileShare]5)
				[IO.File]::Move($old[0],$part)
			}catch{
				# The agent of the earlier upload still has it open. It keeps its file, this one gets a copy.
				if($f){$f.Close()}
				$f=$null
				try{
					$s=[IO.File]::Open($old[0],[IO.FileMode]::Open,[IO.FileAccess]::Read,[IO.FileShare]7)
					try{
						$f=[IO.File]::Open($part,[IO.FileMode]::CreateNew,[IO.FileAccess]::ReadWrite,[IO.FileShare]5)
						$s.CopyTo($f)
					}finally{$s.Close()}
				}catch{if(-not $f){throw}}
			}
			foreach($x in $old){try{[IO.File]::Delete($x)}catch{}}
		}
	}
	if(-not $f){$f=[IO.File]::Open($part,[IO.FileMode]::CreateNew,[IO.FileAccess]::ReadWrite,[IO.FileShare]5)}
	$f
}
function WkWrite($q){
	$part=$q.d+$q.k+'-'+$q.u+'.part'
	$keep=$false
	$f=$null
	try{
		if([IO.Directory]::Exists($q.p)){WkFail -2147024891 'There is a directory of this name.'}
		if([IO.File]::Exists($q.p)){[IO.File]::Open($q.p,[IO.FileMode]::Open,[IO.FileAccess]::ReadWrite,[IO.FileShare]7).Close()}
		$f=WkPart $q $part
		$sha=WkSha
		$o=$f.Length
		if($q.s -ge 0 -and $o -gt $q.s){$o=0}
		$f.SetLength($o)
		if($q.v){$free=([IO.DriveInfo]$q.v).AvailableFreeSpace;if($q.s-$o -gt $free){WkFail -2147024784 "Only $free bytes are free, $($q.s-$o) are needed."}}
		if($q.r){
			$p=WkSha
			WkPrefix $f $o $sha $p
			WkReply 'L' @{o=$o;h=(WkHex $p)}
		}
		$keep=[bool]$q.r
		while($true){
			$k=WkNext
			if($k -eq 'D'){
				[void]$sha.TransformBlock($buf,0,$st.n,$null,0)
				$f.Write($buf,0,$st.n)
				$f.Flush()
			}elseif($k -eq 'Z'){
				$d=New-Object IO.Compression.DeflateStream (New-Object IO.MemoryStream $buf,0,$st.n),([IO.Compression.CompressionMode]::Decompress)
				while(($r=$d.Read($big,0,$piece)) -gt 0){
					[void]$sha.TransformBlock($big,0,$r,$null,0)
					$f.Write($big,0,$r)
				}
				$f.Flush()
			}elseif($k -eq 'T'){$f.SetLength(0);$sha=WkSha}
			elseif($k -eq 'E'){break}
			else{WkFail -2147023901 'The upload was given up.'}
		}
		$want=$utf.GetString($buf,0,$st.n)
		if((WkHex $sha) -ne $want){$keep=$false;WkFail -2147024873 'The SHA-256 of what arrived is not that of what was sent.'}
		$f.Flush($true)
		$f.Close()
		$time=New-Object DateTime ([long]$q.m),([DateTimeKind]::Utc)
		if($q.m){[IO.File]::SetLastWriteTimeUtc($part,$time)}
		if([IO.File]::Exists($q.p)){[IO.File]::Replace($part,$q.p,[NullString]::Value)}else{[IO.File]::Move($part,$q.p)}
		$keep=$true
		if($q.m){[IO.File]::SetLastWriteTimeUtc($q.p,$time)}
		if($q.a){[IO.File]::SetAttributes($q.p,[IO.FileAttributes]([int][IO.File]::GetAttributes($q.p) -bor 1))}
		WkReply 'R' (WkEntry ([IO.FileInfo]$q.p))
	}catch{
		if(((WkCode $_) -band 65535) -eq 112){$keep=$false}
		throw
	}finally{
		if($f){$f.Close()}
		if(-not $keep){try{[IO.File]::Delete($part)}catch{}}
	}
}
function WkMkdir($q){
	if(-not $q.r){
		if([IO.Directory]::Exists($q.p) -or [IO.File]::Exists($q.p)){WkFail -2147024713 'It exists.'}
		[void][IO.File]::GetAttributes($q.d)
	}elseif([IO.File]::Exists($q.p)){WkFail -2147024713 'There is a file of this name.'}
	[void][IO.Directory]::CreateDirectory($q.p)
	WkReply 'R' (WkEntry (WkInfo $q.p))
}
function WkRemove($q){
	$a=[int][IO.File]::GetAttributes($q.p)
	if($a -band 1){[IO.File]::SetAttributes($q.p,[IO.FileAttributes]($a -band -2))}
	if($a -band 16){[IO.Directory]::Delete($q.p,[bool]$q.r)}else{[IO.File]::Delete($q.p)}
	WkReply 'R' @{}
}
function WkCause($e){
	$x=$e.Exception
	while($x.InnerException -and $x -is [Management.Automation.RuntimeException]){$x=$x.InnerException}
	$x
}
function WkCode($e){[Runtime.InteropServices.Marshal]::GetHRForException((WkCause $e))}

while($true){
	if((WkNext) -ne 'Q'){continue}
	$q=$utf.GetString($buf,0,$st.n)|ConvertFrom-Json
	try{
		if($q.op -eq 'hello'){WkHello $q}
		elseif($q.op -eq 'stat'){WkStat $q}
		elseif($q.op -eq 'list'){WkList $q}
		elseif($q.op -eq 'read'){WkRead $q}
		elseif($q.op -eq 'write'){WkWrite $q}
		elseif($q.op -eq 'mkdir'){WkMkdir $q}
		elseif($q.op -eq 'remove'){WkRemove $q}
		else{WkFail -2147024846 'This request is not known.'}
	}catch{
		$x=WkCause $_
		WkReply 'X' @{c=(WkCode $_);m=$x.Message;y=$x.GetType().FullName}
	}
}
