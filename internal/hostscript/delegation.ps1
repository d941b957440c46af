$ErrorActionPreference='Stop'
$ProgressPreference='SilentlyContinue'
$key='HKLM:\SOFTWARE\Policies\Microsoft\Windows\CredentialsDelegation'
$switches=@{AllowFreshCredentials='ConcatenateDefaults_AllowFresh';AllowFreshCredentialsWhenNTLMOnly='ConcatenateDefaults_AllowFreshNTLMOnly'}
function Names($list){
  if(Test-Path "$key\$list"){
    $k=Get-Item "$key\$list"
    foreach($n in ($k.GetValueNames()|Where-Object{$_ -match '^\d+$'}|Sort-Object{[int]$_})){$k.GetValue($n)}
  }
}
function Save($list,$names){
  if(Test-Path "$key\$list"){Remove-Item "$key\$list" -Recurse -Force}
  if($names.Count -eq 0){
    if(Test-Path $key){Remove-ItemProperty $key -Name $list,$switches[$list] -ErrorAction SilentlyContinue}
    return
  }
  [void](New-Item "$key\$list" -Force)
  [void](New-ItemProperty $key -Name $list -Value 1 -PropertyType DWord -Force)
  [void](New-ItemProperty $key -Name $switches[$list] -Value 1 -PropertyType DWord -Force)
  for($i=0;$i -lt $names.Count;$i++){[void](New-ItemProperty "$key\$list" -Name "$($i+1)" -Value $names[$i] -PropertyType String -Force)}
}
try{
  foreach($list in $lists){
    $have=@(Names $list);$want=$have
    if($add){foreach($n in $add){if($want -notcontains $n){$want=@($want)+$n}}}
    if($all){$want=@($want|Where-Object{$_ -notlike 'wsman*'})}
    if($remove){$want=@($want|Where-Object{$remove -notcontains $_})}
    if(($want -join "`n") -ne ($have -join "`n")){Save $list @($want)}
    foreach($n in @(Names $list)){"winrmkit: list=$list;name=$n"}
  }
  'winrmkit: end'
}catch{[Console]::Error.WriteLine($_.Exception.Message);exit 1}
