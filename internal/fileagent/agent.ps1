# winrmkit file agent 2: requests on stdin, replies on stdout, see package fileagent.
$ErrorActionPreference='Stop'
$in=[Console]::OpenStandardInput()
$out=[Console]::OpenStandardOutput()
$block=122880
$piece=368640
$utf=New-Object Text.UTF8Encoding $false
$head=New-Object byte[] 5
$buf=New-Object byte[] ($piece+16)
$big=New-Object byte[] ($piece+5)
$st=@{n=0;known=0}
# Codes of Windows: a full disk or quota; Replace that may have lost the old file; what may pass.
$full=39,112,1295
$lost=1176,1177
$busy=5,32,183,1175,1176,1177

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
	if($st.n -lt 0 -or $st.n -gt $buf.Length){exit 4}
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
# Hashes a file from its position on.
function WkUpTo($f,$sha,$to){
	while($f.Position -lt $to){
		$r=$f.Read($big,0,[int][Math]::Min([long]$piece,$to-$f.Position))
		if($r -le 0){break}
		[void]$sha.TransformBlock($big,0,$r,$null,0)
	}
}
# Sends the hash of each block of the first $n bytes of a file.
function WkSums($f,$n){
	$sha=WkSha
	$b=New-Object byte[] 32005
	$c=5
	$f.Position=0
	while($n -gt 0){
		$w=[int][Math]::Min([long]$block,$n)
		$o=0
		while($o -lt $w){
			$r=$f.Read($big,$o,$w-$o)
			if($r -le 0){break}
			$o+=$r
		}
		if($o -lt $w){break}
		$sha.ComputeHash($big,0,$w).CopyTo($b,$c)
		$c+=32
		$n=$n-$w
		if($c -eq $b.Length){
			WkSend 'S' $b ($c-5)
			$c=5
		}
	}
	if($c -gt 5){WkSend 'S' $b ($c-5)}
}
# Opens a file to be read while others write to it: without a buffer, which would not see what they write.
function WkOpen($p){New-Object IO.FileStream $p,([IO.FileMode]::Open),([IO.FileAccess]::Read),([IO.FileShare]7),1}
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
# Sets attributes, also those that this .NET has no names for: a cast refuses them.
function WkMark($p,$a){[IO.File]::SetAttributes($p,[Enum]::ToObject([IO.FileAttributes],$a))}

function WkHello($q){
	WkReply 'R' @{v=2;ps="$($PSVersionTable.PSVersion)";d=[Environment]::CurrentDirectory;t=[IO.Path]::GetTempPath()}
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
		$f.Position=[long]$q.o
		$e=WkEntry ([IO.FileInfo]$q.p)
		$e.s=$f.Length
		WkReply 'L' @{i=$e}
		$left=[long]$q.c
		# What is appended from now on is not promised.
		if($left -ge 0){$left=[Math]::Max([long]0,[Math]::Min($left,[long]$e.s-[long]$q.o))}
		while($left -ne 0){
			$w=$block
			if($left -gt 0 -and $left -lt $w){$w=[int]$left}
			$r=$f.Read($big,5,$w)
			if($r -le 0){break}
			if(-not $q.n){[void]$sha.TransformBlock($big,5,$r,$null,0)}
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
function WkSum($q){
	$f=[IO.File]::Open($q.p,[IO.FileMode]::Open,[IO.FileAccess]::Read,[IO.FileShare]7)
	try{
		$e=WkEntry ([IO.FileInfo]$q.p)
		$e.s=$f.Length
		if($q.b){
			WkReply 'L' @{i=$e}
			WkSums $f ([Math]::Min([long]$q.c,$f.Length))
			WkReply 'R' @{}
		}else{
			$sha=WkSha
			WkUpTo $f $sha ([long]$q.c)
			WkReply 'R' @{i=$e;h=(WkHex $sha)}
		}
	}finally{$f.Close()}
}
# Opens the part file of an upload, with what an earlier one has left if that is wanted. Nobody can
# write to it but those who know its name: the agents of this upload.
function WkPart($q,$part){
	$f=$null
	if($q.r){
		$old=@([IO.Directory]::GetFiles($q.d,$q.k+'-*.part')|Sort-Object {([IO.FileInfo]$_).Length} -Descending)
		if($old.Count -and -not $q.x){
			try{
				$f=[IO.File]::Open($old[0],[IO.FileMode]::Open,[IO.FileAccess]::ReadWrite,[IO.FileShare]5)
				[IO.File]::Move($old[0],$part)
				$f.Close()
				$f=[IO.File]::Open($part,[IO.FileMode]::Open,[IO.FileAccess]::ReadWrite,[IO.FileShare]7)
			}catch{
				# The agents of the earlier upload still have it open. They keep their file, this one gets a copy.
				if($f){$f.Close()}
				$f=$null
				try{
					$s=[IO.File]::Open($old[0],[IO.FileMode]::Open,[IO.FileAccess]::Read,[IO.FileShare]7)
					try{
						$f=[IO.File]::Open($part,[IO.FileMode]::CreateNew,[IO.FileAccess]::ReadWrite,[IO.FileShare]7)
						$s.CopyTo($f)
						$f.Flush()
					}finally{$s.Close()}
				}catch{if(-not $f){throw}}
			}
		}
		foreach($x in $old){try{[IO.File]::Delete($x)}catch{}}
	}
	if(-not $f){$f=[IO.File]::Open($part,[IO.FileMode]::CreateNew,[IO.FileAccess]::ReadWrite,[IO.FileShare]7)}
	$f
}
# Writes the piece in $buf to its place.
function WkPiece($f,$k){
	if($st.n -lt 16){exit 4}
	$f.Position=[BitConverter]::ToInt64($buf,0)
	$st.known=[BitConverter]::ToInt64($buf,8)
	if($k -eq 'W'){$f.Write($buf,16,$st.n-16)}
	else{
		$d=New-Object IO.Compression.DeflateStream (New-Object IO.MemoryStream $buf,16,($st.n-16)),([IO.Compression.CompressionMode]::Decompress)
		while(($r=$d.Read($big,0,$piece)) -gt 0){$f.Write($big,0,$r)}
	}
	$f.Flush()
}
# Helps with an upload that another agent has begun.
function WkJoin($q){
	$f=[IO.File]::Open(($q.d+$q.k+'-'+$q.u+'.part'),[IO.FileMode]::Open,[IO.FileAccess]::ReadWrite,[IO.FileShare]7)
	try{
		WkReply 'L' @{o=0}
		while($true){
			$k=WkNext
			if($k -eq 'W' -or $k -eq 'V'){WkPiece $f $k}
			elseif($k -eq 'E'){break}
			else{WkFail -2147023901 'The upload was given up.'}
		}
	}finally{$f.Close()}
	WkReply 'R' @{}
}
# Puts a file in the place of another one. Replace may lose the old one when it fails; what then
# has to follow is Move. Scanners of viruses and indexers open new files for a moment.
function WkPlace($part,$to){
	for($i=1;;$i++){
		try{
			if([IO.File]::Exists($to)){[IO.File]::Replace($part,$to,[NullString]::Value)}else{[IO.File]::Move($part,$to)}
			return
		}catch{
			if($i -ge 5 -or $busy -notcontains ((WkCode $_) -band 65535)){throw}
			Start-Sleep -Milliseconds 200
		}
	}
}
function WkWrite($q){
	$part=$q.d+$q.k+'-'+$q.u+'.part'
	$keep=$false
	$f=$null
	$g=$null
	try{
		if([IO.Directory]::Exists($q.p)){WkFail -2147024891 'There is a directory of this name.'}
		if([IO.File]::Exists($q.p)){[IO.File]::Open($q.p,[IO.FileMode]::Open,[IO.FileAccess]::ReadWrite,[IO.FileShare]7).Close()}
		$f=WkPart $q $part
		$sha=WkSha
		$o=$f.Length
		if($q.s -ge 0 -and $o -gt $q.s){$o=[long]$q.s;$f.SetLength($o)}
		if($q.v -and $q.s-$o -gt ([IO.DriveInfo]$q.v).AvailableFreeSpace){
			# Unless the directory is on another volume, mounted there: an attempt tells.
			$f.SetLength([long]$q.s)
			$f.SetLength($o)
		}
		if($q.r){
			$g=WkOpen $part
			WkSums $g $o
			$g.Position=0
			WkReply 'L' @{o=$o}
		}
		$keep=[bool]$q.r
		while($true){
			$k=WkNext
			if($k -eq 'W' -or $k -eq 'V'){
				WkPiece $f $k
				WkUpTo $g $sha $st.known
			}elseif($k -eq 'D'){
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
			}elseif($k -eq 'E'){break}
			else{
				if($k -eq 'T' -and $st.n){$keep=$false}
				WkFail -2147023901 'The upload was given up.'
			}
		}
		$want=$utf.GetString($buf,0,$st.n)
		$size=[long]$q.s
		if($size -lt 0){$size=$f.Length}
		if($g){WkUpTo $g $sha $size}
		$have=WkHex $sha
		if($g -and $have -ne $want){
			# Perhaps it was read before another agent had written it.
			$g.Position=0
			$sha=WkSha
			WkUpTo $g $sha $size
			$have=WkHex $sha
		}
		if($have -ne $want){$keep=$false;WkFail -2147024873 'The SHA-256 of what arrived is not that of what was sent.'}
		if($g){$g.Close()}
		$f.Flush($true)
		$f.Close()
		$time=New-Object DateTime ([long]$q.m),([DateTimeKind]::Utc)
		if($q.m){[IO.File]::SetLastWriteTimeUtc($part,$time)}
		WkPlace $part $q.p
		$keep=$true
		if($q.m){try{[IO.File]::SetLastWriteTimeUtc($q.p,$time)}catch{}}
		if($q.a){WkMark $q.p ([int][IO.File]::GetAttributes($q.p) -bor 1)}
		WkReply 'R' (WkEntry ([IO.FileInfo]$q.p))
	}catch{
		$c=(WkCode $_) -band 65535
		if($full -contains $c){$keep=$false}elseif($lost -contains $c){$keep=$true}
		throw
	}finally{
		if($g){$g.Close()}
		if($f){$f.Close()}
		if(-not $keep){try{[IO.File]::Delete($part)}catch{}}
	}
}
function WkMkdir($q){
	if(-not $q.r){
		if([IO.Directory]::Exists($q.p) -or [IO.File]::Exists($q.p)){WkFail -2147024713 'It exists.'}
		if($q.d){[void][IO.File]::GetAttributes($q.d)}
	}elseif([IO.File]::Exists($q.p)){WkFail -2147024713 'There is a file of this name.'}
	[void][IO.Directory]::CreateDirectory($q.p)
	WkReply 'R' (WkEntry (WkInfo $q.p))
}
# Removes a directory with all that it contains, and of a link to one only the link.
function WkWipe($p,$a){
	if($a -band 1){WkMark $p ($a -band -2)}
	if($a -band 16){
		if(-not ($a -band 1024)){
			foreach($i in ([IO.DirectoryInfo]$p).GetFileSystemInfos()){WkWipe ([IO.Path]::Combine($p,$i.Name)) ([int]$i.Attributes)}
		}
		[IO.Directory]::Delete($p,$false)
	}else{[IO.File]::Delete($p)}
}
function WkRemove($q){
	$a=[int][IO.File]::GetAttributes($q.p)
	try{
		if($a -band 1){WkMark $q.p ($a -band -2)}
		if($a -band 16){[IO.Directory]::Delete($q.p,[bool]$q.r)}else{[IO.File]::Delete($q.p)}
	}catch{
		# Perhaps something in it is read-only.
		if(-not $q.r -or ((WkCode $_) -band 65535) -ne 5){throw}
		WkWipe $q.p $a
	}
	WkReply 'R' @{}
}
function WkCause($e){
	$x=$e.Exception
	while($x.InnerException -and ($x -is [Management.Automation.IContainsErrorRecord] -or $x -is [Reflection.TargetInvocationException])){$x=$x.InnerException}
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
		elseif($q.op -eq 'sum'){WkSum $q}
		elseif($q.op -eq 'write'){WkWrite $q}
		elseif($q.op -eq 'join'){WkJoin $q}
		elseif($q.op -eq 'mkdir'){WkMkdir $q}
		elseif($q.op -eq 'remove'){WkRemove $q}
		else{WkFail -2147024846 'This request is not known.'}
	}catch{
		$x=WkCause $_
		WkReply 'X' @{c=(WkCode $_);m=$x.Message;y=$x.GetType().FullName}
		if($q.op -eq 'join'){exit 5}
	}
}
